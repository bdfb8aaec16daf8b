// How much memory the tensors of a graph take while it runs, counted from its nodes without running it. Weights are left out:
// they lie where they lie. What the runtime's kernels need beside it is not seen from here.

import { formatShape, type Sizes, sizesOf } from "./dims.ts";
import { type Graph, runningNodes } from "./graph.ts";
import type { DType, OpName } from "./ops.ts";
import type { Tensor } from "./tensor.ts";

const ELEMENT_BYTES: Readonly<Record<DType, number>> = {
  f64: 8,
  i64: 8,
  f32: 4,
  i32: 4,
  bf16: 2,
  f16: 2,
  u16: 2,
  u8: 1,
  i8: 1,
  bool: 1,
};

/** Another name for the memory of the first operand. */
const views: ReadonlySet<OpName> = new Set<OpName>(["reshape", "stopGradient"]);
/** May write over an operand of their result's shape that nobody reads afterwards. */
const elementwise: ReadonlySet<OpName> = new Set<OpName>([
  ...(["add", "sub", "mul", "div", "neg", "exp", "sqrt", "abs", "sin", "cos", "sigmoid"] as const),
  ...(["erf", "relu", "silu", "gelu", "geluTanh", "floor"] as const),
]);

/** A piece of memory that tensors of one shape hold one after the other. */
interface Buffer {
  readonly kind: string;
  readonly bytes: number;
  /** Indices of the nodes from which and until which it is held. */
  readonly from: number;
  until: number;
}

/** The bytes of one tensor. */
export function tensorBytes({ shape, dtype }: Tensor, sizes: Sizes = {}): number {
  return sizesOf(shape, sizes).reduce((a, b) => a * b, ELEMENT_BYTES[dtype]);
}

/**
 * The most bytes that results and what lies before them take at one time, inputs not counted, when nodes run in the order in
 * which they were made. Memory is handed out as ONNX Runtime does: a result takes the place of an operand that is read for the
 * last time, or any memory of its own shape that has become free, and memory is given back only when nothing will take it over
 * any more. `sizes` says how long the dynamic dimensions are.
 */
export function peakBytes(graph: Graph, sizes: Sizes = {}): number {
  const nodes = runningNodes(graph).filter(({ op }) => op !== "input");
  const lastUse = new Map<Tensor, number>();
  nodes.forEach((node, at) => {
    for (const input of node.inputs) lastUse.set(memoryOf(input), at);
  });
  for (const tensor of graph.outputs.values()) lastUse.set(memoryOf(tensor), nodes.length);

  const buffers: Buffer[] = [];
  const holds = new Map<Tensor, Buffer>();
  const free: Buffer[] = [];
  nodes.forEach((node, at) => {
    if (views.has(node.op)) return;
    const dying = [...new Set(node.inputs.map(memoryOf))].filter(
      (tensor) => lastUse.get(tensor) === at && holds.has(tensor),
    );
    for (const output of node.outputs) {
      const kind = `${output.dtype} ${formatShape(output.shape)}`;
      const over = elementwise.has(node.op) && dying.find((tensor) => holds.get(tensor)!.kind === kind);
      if (over) dying.splice(dying.indexOf(over), 1);
      const idle = free.findLastIndex((buffer) => buffer.kind === kind);
      const taken = over ? holds.get(over)! : idle >= 0 ? free.splice(idle, 1)[0]! : undefined;
      const buffer = taken ?? { kind, bytes: tensorBytes(output, sizes), from: at, until: at };
      if (!taken) buffers.push(buffer);
      buffer.until = lastUse.get(output) ?? at;
      holds.set(output, buffer);
      if (buffer.until === at) free.push(buffer);
    }
    for (const tensor of dying) free.push(holds.get(tensor)!);
  });

  return largestSum(buffers, nodes.length);
}

/** The largest sum of buffers that are held at one node. */
function largestSum(buffers: readonly Buffer[], steps: number): number {
  const changes = new Float64Array(steps + 2);
  for (const { bytes, from, until } of buffers) {
    changes[from]! += bytes;
    changes[until + 1]! -= bytes;
  }
  let held = 0;
  return changes.reduce((largest, change) => {
    held += change;
    return Math.max(largest, held);
  }, 0);
}

/** The tensor whose memory this one is. */
function memoryOf(tensor: Tensor): Tensor {
  let origin = tensor;
  while (views.has(origin.node.op)) origin = origin.node.inputs[0]!;
  return origin;
}
