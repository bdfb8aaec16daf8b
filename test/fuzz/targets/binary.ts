// Bytes: checkpoints, codes, images.

import { readFile } from "node:fs/promises";
import { headerLength, PREFIX_BYTES, parseHeader } from "../../../src/checkpoint/safetensors-header.ts";
import { findIndexFaults, readShardIndex } from "../../../src/checkpoint/shard-index.ts";
import { parseCodes } from "../../../src/corpus/code-files.ts";
import { memoryFiles } from "../../../src/files/memory.ts";
import { decodeImage, encodeImage } from "../../../src/image/codec.node.ts";
import { formatOf, type ImageFormat } from "../../../src/image/image-format.ts";
import { readImageHeader } from "../../../src/image/image-header.ts";
import { loadImage } from "../../../src/image/image-source.node.ts";
import { checkSize } from "../../../src/image/rgb.ts";
import { layOut } from "../../../src/quantize/safetensors-layout.ts";
import { ImageCodes } from "../../../src/vision/image-codes.ts";
import { json, same, type Target, utf8 } from "../target.ts";

const codes = new ImageCodes({
  grid: [2, 2],
  codes: Uint16Array.from([1, 2, 3, 40, 500, 6000, 7, 8]),
  width: 9,
  height: 7,
});

export const binaryTargets: readonly Target[] = [
  {
    name: "safetensors",
    kind: "memory",
    seeds: async () => [
      safetensors(),
      safetensors({ note: "x" }),
      await readFile("test/peft/adapter/adapter_model.safetensors"),
    ],
    repair: withHeaderLength,
    run(bytes) {
      const length = headerLength(bytes.subarray(0, PREFIX_BYTES), bytes.length, "m.safetensors");
      const { tensors, metadata } = parseHeader(
        bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length),
        bytes.length,
        "m.safetensors",
      );
      if (tensors.has("__proto__")) return;
      const { header, fileBytes, places } = layOut(tensors, metadata, "m.safetensors");
      const again = parseHeader(header.subarray(PREFIX_BYTES), fileBytes, "m.safetensors");
      same([...again.tensors].sort(), [...places].sort(), "what is written and read again");
    },
  },
  {
    name: "shard-index",
    kind: "memory",
    seeds: async () => [
      json({
        metadata: { total_size: 3 },
        weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
      }),
    ],
    async run(bytes) {
      const name = "model.safetensors.index.json";
      const index = await readShardIndex(memoryFiles("m", new Map([[name, new Blob([Uint8Array.from(bytes)])]])), name);
      findIndexFaults(index, new Map([["model-00001-of-00002.safetensors", ["a", "c"]]]));
    },
  },
  {
    name: "codes-bytes",
    kind: "memory",
    seeds: async () => [codes.toBytes()],
    run: (bytes) => readAgain(ImageCodes.from(bytes)),
  },
  {
    name: "codes-json",
    kind: "memory",
    seeds: async () => [json(codes), json({ grid: { 0: 1, 1: 2 }, codes: { 0: 5, 1: 6 } })],
    run: (bytes) => readAgain(ImageCodes.from(new TextDecoder().decode(bytes))),
  },
  {
    name: "codes-file",
    kind: "memory",
    seeds: async () => [
      json({ format: "kelix-codes", model: "m", images: [{ image: "a.png", ...codes.toJSON() }] }),
      json([codes]),
      safetensors({ grid: "[1,2]", size: "[9,7]" }),
    ],
    repair: (bytes) => (bytes[0] === 0x7b ? bytes : withHeaderLength(bytes)),
    run: (bytes) => parseCodes(Uint8Array.from(bytes), "codes.safetensors"),
  },
  {
    name: "image-header",
    kind: "memory",
    seeds: async () => [...(await Promise.all(images.map((name) => readFile(name)))), ...(await encoded())],
    run(bytes) {
      const { width, height } = readImageHeader(bytes, formatOf(bytes, "image"), "image");
      checkSize(width, height);
    },
  },
  {
    name: "image-pixels",
    kind: "open",
    seeds: async () => [...(await Promise.all(images.map((name) => readFile(name)))), ...(await encoded())],
    async run(bytes) {
      const { width, height, data } = await decodeImage(bytes);
      same(data.length, width * height * 3, "bytes of the image");
    },
  },
  {
    name: "data-url",
    kind: "open",
    seeds: async () => {
      const [png] = await encoded();
      return [
        utf8(`data:image/png;base64,${Buffer.from(png!).toString("base64")}`),
        utf8("data:image/svg+xml,%3Csvg/%3E"),
      ];
    },
    // What is no data URL would be a path, or fetched.
    run: (bytes) => loadImage(`data:${new TextDecoder().decode(bytes.subarray(5))}`),
  },
];

/** Small ones, of each kind that is read in a way of its own. */
const images = [
  "alpha.png",
  "grey16.png",
  "palette.png",
  "cmyk-progressive.jpg",
  "odd-420-progressive.jpg",
  "ycck.jpg",
].map((name) => `test/images/${name}`);

let own: Promise<Uint8Array[]> | undefined;

function encoded(): Promise<Uint8Array[]> {
  const image = { width: 5, height: 3, data: Uint8Array.from({ length: 45 }, (_, i) => (i * 37) % 256) };
  own ??= Promise.all((["png", "jpeg", "webp"] satisfies ImageFormat[]).map((format) => encodeImage(image, format)));
  return own;
}

function readAgain(found: ImageCodes): void {
  if (found.codes.length % (found.grid[0] * found.grid[1]) !== 0) throw new Error("codes do not fill their grid");
  if (found.grid.some((side) => side > 65_535) || (found.width ?? 0) > 0xffff_ffff || (found.height ?? 0) > 0xffff_ffff)
    return;
  same(ImageCodes.from(found.toBytes()), found, "what is written and read again");
  same(ImageCodes.from(JSON.stringify(found)), found, "what is written as JSON and read again");
}

/** Two tensors. */
function safetensors(metadata?: Readonly<Record<string, string>>): Uint8Array {
  const tensors = {
    codes: { dtype: "U16", shape: [2, 1], data_offsets: [4, 8] },
    b: { dtype: "F32", shape: [], data_offsets: [0, 4] },
  };
  const header = json({ ...(metadata && { __metadata__: metadata }), ...tensors });
  return withHeaderLength(
    Uint8Array.from([...new Array<number>(8).fill(0), ...header, ...new Array<number>(8).fill(1)]),
  );
}

/** The length of a header that ends with the last bracket of the file. */
function withHeaderLength(bytes: Uint8Array): Uint8Array {
  if (bytes.length < PREFIX_BYTES) return bytes;
  const changed = Uint8Array.from(bytes);
  const length = Math.max(0, changed.lastIndexOf(0x7d) + 1 - PREFIX_BYTES);
  new DataView(changed.buffer).setBigUint64(0, BigInt(length), true);
  return changed;
}
