// Writes an ONNX model file (protobuf) from plain records. Field numbers are those of onnx.proto3, IR version 10.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Shape } from "../tensor/dims.ts";
import type { DType } from "../tensor/ops.ts";

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string };

export interface OnnxNode {
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A fixed tensor: its bytes, or where in a file they lie. */
export type OnnxInitializer = {
  readonly name: string;
  readonly dtype: DType | "u4";
  readonly shape: readonly number[];
} & (
  | { readonly bytes: Uint8Array }
  | { readonly location: string; readonly byteOffset: number; readonly byteLength: number }
);

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

const IR_VERSION = 10;
/** The standard operators' version; from 21 on `DequantizeLinear` takes blocks, and nothing else here needs it. */
const versionOf = ({ nodes }: OnnxModel) => (nodes.some(({ op }) => op === "DequantizeLinear") ? 21 : 20);

export const ELEMENT_TYPES: Readonly<Record<OnnxInitializer["dtype"], number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  bf16: 16,
  u4: 21,
};

/** The bytes of a model file. */
export function encodeModel(model: OnnxModel): Uint8Array {
  const w = new BinaryWriter();
  w.tag(1, WireType.Varint).int64(IR_VERSION);
  text(w, 2, "kelix");
  message(w, 7, (g) => {
    for (const node of model.nodes) message(g, 1, (n) => writeNode(n, node));
    text(g, 2, "graph");
    for (const initializer of model.initializers) message(g, 5, (t) => writeInitializer(t, initializer));
    for (const input of model.inputs) message(g, 11, (v) => writeValue(v, input));
    for (const output of model.outputs) message(g, 12, (v) => writeValue(v, output));
  });
  for (const [domain, version] of [["", versionOf(model)] as const, ["com.microsoft", 1] as const]) {
    message(w, 8, (o) => {
      text(o, 1, domain);
      o.tag(2, WireType.Varint).int64(version);
    });
  }
  return w.finish();
}

function writeNode(w: BinaryWriter, node: OnnxNode): void {
  for (const name of node.inputs) text(w, 1, name);
  for (const name of node.outputs) text(w, 2, name);
  text(w, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) message(w, 5, (a) => writeAttribute(a, name, value));
  if (node.domain !== "") text(w, 7, node.domain);
}

function writeAttribute(w: BinaryWriter, name: string, value: OnnxAttribute): void {
  const kind = (type: number) => w.tag(20, WireType.Varint).int32(type);
  text(w, 1, name);
  if ("float" in value) {
    w.tag(2, WireType.Bit32).float(value.float);
    kind(1);
  } else if ("int" in value) {
    w.tag(3, WireType.Varint).int64(value.int);
    kind(2);
  } else if ("text" in value) {
    text(w, 4, value.text);
    kind(3);
  } else {
    for (const item of value.ints) w.tag(8, WireType.Varint).int64(item);
    kind(7);
  }
}

function writeInitializer(w: BinaryWriter, tensor: OnnxInitializer): void {
  for (const size of tensor.shape) w.tag(1, WireType.Varint).int64(size);
  w.tag(2, WireType.Varint).int32(ELEMENT_TYPES[tensor.dtype]);
  text(w, 8, tensor.name);
  if ("bytes" in tensor) {
    w.tag(9, WireType.LengthDelimited).bytes(tensor.bytes);
    return;
  }
  const entries = { location: tensor.location, offset: tensor.byteOffset, length: tensor.byteLength };
  for (const [key, value] of Object.entries(entries)) {
    message(w, 13, (entry) => {
      text(entry, 1, key);
      text(entry, 2, String(value));
    });
  }
  w.tag(14, WireType.Varint).int32(1);
}

function writeValue(w: BinaryWriter, value: OnnxValue): void {
  text(w, 1, value.name);
  message(w, 2, (type) =>
    message(type, 1, (tensor) => {
      tensor.tag(1, WireType.Varint).int32(ELEMENT_TYPES[value.dtype]);
      message(tensor, 2, (shape) => {
        for (const dim of value.shape) {
          message(shape, 1, (d) => {
            if (typeof dim === "number") d.tag(1, WireType.Varint).int64(dim);
            else text(d, 2, dim);
          });
        }
      });
    }),
  );
}

function text(w: BinaryWriter, field: number, value: string): void {
  w.tag(field, WireType.LengthDelimited).string(value);
}

function message(w: BinaryWriter, field: number, write: (inner: BinaryWriter) => void): void {
  w.tag(field, WireType.LengthDelimited).fork();
  write(w);
  w.join();
}
