// Turns a traced graph into ONNX nodes: one entry for each operation, in the form that runs fastest on ONNX Runtime
// (docs/decisions/0001-engine.md). Only what the asked outputs need is emitted.

import { type Dim, formatShape, movedSizes, type Shape, staticShape } from "../tensor/dims.ts";
import { type Graph, type GraphNode, neededNodes } from "../tensor/graph.ts";
import type { DType, OpName } from "../tensor/ops.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  ELEMENT_TYPES,
  type OnnxAttribute,
  type OnnxInitializer,
  type OnnxModel,
  type OnnxNode,
  type OnnxValue,
} from "./encode.ts";
import { residualNorms } from "./residual-norms.ts";
import { isQuantizedWeight, type QuantizedInitializer, rowsOf, type Weight } from "./weight.ts";

/** How a parameter enters the model: fed at each run (training), or fixed from a checkpoint (inference). */
export type ParameterSource = "input" | Weight;

/** Indices as ONNX's operators give them: i64, below `count`. */
interface LongIndices {
  readonly name: string;
  readonly shape: Shape;
  readonly count: Dim;
}

export interface LowerOptions {
  /** Norms after a residual add it themselves; false if absent. */
  readonly residualNorms?: boolean;
  /**
   * Each operation that reads a weight as float32 widens it for itself. The backward pass reads weights again long after the forward
   * pass did: a shared float32 copy would stay in memory from the one to the other. False if absent.
   */
  readonly widensForEachReader?: boolean;
  /** Only operators that ONNX Runtime has WebGPU kernels for, so that no value travels to the CPU in between. False if absent. */
  readonly isWebGpu?: boolean;
}

/** The model that computes `outputs`; `parameter` says where each parameter that is used comes from. */
export function lower(
  outputs: ReadonlyMap<string, Tensor>,
  graph: Graph,
  parameter: (path: string) => ParameterSource,
  options: LowerOptions = {},
): OnnxModel {
  const emitter = new Emitter(parameter, options);
  const needed = neededNodes(graph, outputs.values());
  const norms = options.residualNorms ? residualNorms(needed) : new Map<GraphNode, GraphNode>();
  const postponed = new Set(norms.values());
  for (const node of needed) {
    const sum = norms.get(node);
    if (sum) emitResidualNorm(node as GraphNode<"rmsNorm">, sum, emitter);
    else if (!postponed.has(node)) emitNode(node, emitter);
  }
  for (const [name, tensor] of outputs) {
    emitter.node("Identity", [emitter.name(tensor)], [name]);
    emitter.outputs.push({ name, dtype: tensor.dtype, shape: tensor.shape });
  }
  return emitter;
}

function emitNode<K extends OpName>(node: GraphNode<K>, emitter: Emitter): void {
  const lowering: Lowering<K> = lowerings[node.op];
  lowering(node, emitter);
}

/** The sum and the norm after it, as one operator. */
function emitResidualNorm(norm: GraphNode<"rmsNorm">, sum: GraphNode, e: Emitter): void {
  const operands = [...sum.inputs, norm.inputs[1]!].map((tensor) => e.name(tensor));
  const epsilon: OnnxAttribute = { float: norm.attributes.eps };
  const out = [e.name(norm.outputs[0]!), "", "", e.name(sum.outputs[0]!)];
  e.node("SkipSimplifiedLayerNormalization", operands, out, { epsilon }, microsoft);
}

class Emitter implements OnnxModel {
  readonly initializers: OnnxInitializer[] = [];
  readonly inputs: OnnxValue[] = [];
  readonly outputs: OnnxValue[] = [];
  readonly parameter: (path: string) => ParameterSource;
  readonly isWebGpu: boolean;
  readonly #widensForEachReader: boolean;
  readonly #names = new Map<Tensor, string>();
  readonly #weights = new Map<Tensor, Weight>();
  readonly #indices = new Map<Tensor, LongIndices>();
  readonly #shared = new Map<string, string>();
  readonly #widenings: OnnxNode[] = [];
  readonly #nodes: OnnxNode[] = [];
  #count = 0;

  constructor(
    parameter: (path: string) => ParameterSource,
    { widensForEachReader = false, isWebGpu = false }: LowerOptions,
  ) {
    this.parameter = parameter;
    this.isWebGpu = isWebGpu;
    this.#widensForEachReader = widensForEachReader;
  }

  /**
   * Weights are widened before all else in this list, which makes ONNX Runtime do it just before their use: it walks from the
   * results back, and of what an operation reads it computes what stands last in the list first. Where widening is part of each
   * run, no more than one or two weights are then in memory as float32.
   */
  get nodes(): readonly OnnxNode[] {
    return [...this.#widenings, ...this.#nodes];
  }

  fresh(): string {
    return `t${this.#count++}`;
  }

  /** The ONNX name of a tensor. A weight enters the model here, as float32, when its user has no use for its stored form. */
  name(tensor: Tensor): string {
    let name = this.#names.get(tensor);
    if (name === undefined) {
      const weight = this.#weights.get(tensor);
      const indices = this.#indices.get(tensor);
      name = weight ? this.#widened(weight, tensor.shape) : indices ? this.#narrowed(indices, tensor) : this.fresh();
      if (!weight || !this.#widensForEachReader) this.#names.set(tensor, name);
    }
    return name;
  }

  /** The weight that a tensor is: a parameter, or rows of one. */
  weight(tensor: Tensor): Weight | undefined {
    return this.#weights.get(tensor);
  }

  holdWeight(tensor: Tensor, weight: Weight): void {
    this.#weights.set(tensor, weight);
  }

  /** A tensor of indices that an operator gives in 64 bits: they are made i32 when somebody asks for their name. */
  holdIndices(tensor: Tensor, indices: LongIndices): void {
    this.#indices.set(tensor, indices);
  }

  /** Indices [R] as [R, 1], i32 or i64. */
  column(tensor: Tensor): string {
    const [R] = tensor.shape as readonly [Dim];
    return this.#indices.get(tensor)?.name ?? this.reshape(this.name(tensor), [R], [R, 1]);
  }

  #narrowed({ name, shape, count }: LongIndices, tensor: Tensor): string {
    const own = this.isWebGpu ? this.#lookedUp(name, count) : this.step("Cast", [name], { to: int(ELEMENT_TYPES.i32) });
    return shape.length === tensor.rank ? own : this.reshape(own, shape, tensor.shape);
  }

  /** WebGPU casts nothing from 64 bits, but looks up by them. */
  #lookedUp(name: string, count: Dim): string {
    if (typeof count === "string") throw new Error(`indices below ${count} cannot be narrowed on WebGPU`);
    const all = this.#once(`below ${count}`, () =>
      this.initializer(
        "i32",
        [count],
        new Int32Array(count).map((_, i) => i),
      ),
    );
    return this.step("Gather", [all, name], { axis: int(0) });
  }

  /** Puts a fixed tensor into the model, once. */
  hold(tensor: OnnxInitializer): string {
    return this.#once(`weight ${tensor.name}`, () => {
      this.initializers.push(tensor);
      return tensor.name;
    });
  }

  #widened(weight: Weight, shape: Shape): string {
    if (isQuantizedWeight(weight)) {
      const name = this.#dequantized(weight);
      return shape.length === 2 ? name : this.reshape(name, weight.shape, shape);
    }
    const stored = this.hold(weight);
    return weight.dtype === "f32" ? stored : this.#widening("Cast", [stored], { to: int(1) });
  }

  #dequantized({ values, scales, shape, bits, block }: QuantizedInitializer): string {
    const dtype = bits === 4 ? "u4" : "u8";
    const [out, width] = shape;
    // The operator wants the same bytes as a matrix, and the zero points of all blocks, which are one number.
    const matrix = this.hold({ ...values, name: `${values.name} as ${dtype}`, dtype, shape });
    const middle = this.hold({
      name: `zero points ${dtype} ${out} ${width / block}`,
      dtype,
      shape: [out, width / block],
      bytes: new Uint8Array(Math.ceil((out * width * bits) / block / 8)).fill(bits === 4 ? 0x88 : 0x80),
    });
    const attributes = { axis: int(1), block_size: int(block) };
    return this.#widening("DequantizeLinear", [matrix, this.hold(scales), middle], attributes);
  }

  #widening(op: string, inputs: readonly string[], attributes: OnnxNode["attributes"]): string {
    const name = this.fresh();
    this.#widenings.push({ op, domain: "", inputs, outputs: [name], attributes });
    return name;
  }

  rename(tensor: Tensor, name: string): void {
    this.#names.set(tensor, name);
  }

  node(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: OnnxNode["attributes"] = {},
    domain = "",
  ): void {
    this.#nodes.push({ op, domain, inputs, outputs, attributes });
  }

  /** A node whose single result is not a tensor of the graph. */
  step(op: string, inputs: readonly string[], attributes: OnnxNode["attributes"] = {}): string {
    const name = this.fresh();
    this.node(op, inputs, [name], attributes);
    return name;
  }

  initializer(dtype: DType, shape: readonly number[], data: Float32Array | Int32Array | BigInt64Array): string {
    const name = this.fresh();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.initializers.push({ name, dtype, shape, bytes });
    return name;
  }

  /** A small int64 vector (axes, sizes, shapes), made once. */
  integers(values: readonly number[]): string {
    return this.#once(values.join(","), () =>
      this.initializer("i64", [values.length], BigInt64Array.from(values, BigInt)),
    );
  }

  /** Sizes as an int64 vector; those known only at run time are read off the inputs that have an axis of that name. */
  sizes(dims: readonly Dim[]): string {
    const parts = dims.map((dim) => (typeof dim === "number" ? this.integers([dim]) : this.#size(dim)));
    if (dims.every((dim) => typeof dim === "number")) return this.integers(dims as number[]);
    if (parts.length === 1) return parts[0]!;
    return this.#once(`sizes ${dims}`, () => this.step("Concat", parts, { axis: { int: 0 } }));
  }

  #size(dim: string): string {
    const source = this.inputs.find(({ shape }) => shape.includes(dim));
    if (!source) throw new Error(`no input has an axis of size ${dim}, so that size cannot be known`);
    const start = source.shape.indexOf(dim);
    const range = { start: { int: start }, end: { int: start + 1 } };
    return this.#once(`size ${dim}`, () => this.step("Shape", [source.name], range));
  }

  /** Float ones [1, n] or [n], made once. */
  ones(...shape: readonly number[]): string {
    const size = shape.reduce((a, b) => a * b, 1);
    return this.#once(`ones ${shape}`, () => this.initializer("f32", shape, new Float32Array(size).fill(1)));
  }

  #once(key: string, make: () => string): string {
    const name = this.#shared.get(key) ?? make();
    this.#shared.set(key, name);
    return name;
  }

  /** Views `source`, which has shape `from`, as `to`: dynamic sizes are copied in place, or one is inferred. */
  reshape(source: string, from: Shape, to: Shape, target = this.fresh()): string {
    const sizes = to.map((dim, i) => (typeof dim === "number" ? dim : dim === from[i] ? 0 : -1));
    if (movedSizes(from, to).length > 1)
      throw new Error(`reshape ${formatShape(from)} to ${formatShape(to)}: more than one dynamic size moves`);
    this.node("Reshape", [source, this.integers(sizes)], [target]);
    return target;
  }
}

type Lowering<K extends OpName> = (node: GraphNode<K>, e: Emitter) => void;

const microsoft = "com.microsoft";

/** An operation that is one ONNX node with the same operands. */
function direct<K extends OpName>(op: string, attributes: OnnxNode["attributes"] = {}, domain = ""): Lowering<K> {
  return (node, e) => e.node(op, names(node, e), results(node, e), attributes, domain);
}

const int = (value: number): OnnxAttribute => ({ int: value });
const ints = (values: readonly number[]): OnnxAttribute => ({ ints: values });
const evenly = (stride: number, padding: number) => ({
  strides: ints([stride, stride]),
  pads: ints([padding, padding, padding, padding]),
});
const ofRows = ({ eps }: { readonly eps: number }) => ({ axis: int(-1), epsilon: { float: eps } });
const names = (node: GraphNode, e: Emitter) => node.inputs.map((input) => e.name(input));
const results = (node: GraphNode, e: Emitter) => node.outputs.map((output) => e.name(output));

function reduction<K extends "sum" | "mean">(op: string): Lowering<K> {
  return (node, e) =>
    e.node(op, [...names(node, e), e.integers(node.attributes.axes)], results(node, e), { keepdims: int(1) });
}

function extremum<K extends "argmin" | "argmax">(op: string): Lowering<K> {
  return (node, e) => {
    const name = e.step(op, names(node, e), { axis: int(-1), keepdims: int(1) });
    const [x] = node.inputs;
    e.holdIndices(node.outputs[0]!, { name, shape: [...x!.shape.slice(0, -1), 1], count: x!.dim(-1) });
  };
}

function emitCrossEntropy(logits: string, labels: Tensor, [losses, logProbs]: readonly Tensor[], e: Emitter): void {
  const rows = labels.dim(0);
  e.node("LogSoftmax", [logits], [e.name(logProbs!)], { axis: int(-1) });
  const column = e.reshape(e.name(labels), [rows], [rows, 1]);
  const picked = e.step("GatherElements", [e.name(logProbs!), column], { axis: int(1) });
  e.node("Neg", [e.reshape(picked, [rows, 1], [rows])], [e.name(losses!)]);
}

/** x [.., in] times a quantised [out, in] transposed, plus bias [out]. */
function emitQuantizedLinear(
  x: string,
  weight: QuantizedInitializer,
  bias: string | undefined,
  target: string,
  e: Emitter,
): void {
  const [out, width] = weight.shape;
  const { bits, block, values, scales } = weight;
  const inputs = [x, e.hold(values), e.hold(scales), ...(bias === undefined ? [] : ["", "", bias])];
  const attributes = { N: int(out), K: int(width), bits: int(bits), block_size: int(block) };
  // Level 4 rounds x to 8 bits for each block. The other levels are two to a hundred times slower.
  e.node("MatMulNBits", inputs, [target], { ...attributes, accuracy_level: int(4) }, microsoft);
}

/** Rows of a quantised matrix as float32. */
function emitQuantizedGather(
  { values, scales, bits, block }: QuantizedInitializer,
  indices: string,
  target: string,
  e: Emitter,
): void {
  const [out, blocks, bytes] = values.shape as [number, number, number];
  // The operator wants the same bytes as a matrix.
  const matrix = e.hold({ ...values, name: `${values.name} as rows`, shape: [out, blocks * bytes] });
  const attributes = { gather_axis: int(0), quantize_axis: int(1), bits: int(bits), block_size: int(block) };
  e.node("GatherBlockQuantized", [matrix, indices, e.hold(scales)], [target], attributes, microsoft);
}

/** A tensor with its last two axes exchanged; of a weight it is computed when the session is opened. */
function turned(tensor: Tensor, e: Emitter): string {
  const axes = Array.from({ length: tensor.rank }, (_, i) => i);
  const perm = [...axes.slice(0, -2), tensor.rank - 1, tensor.rank - 2];
  return e.step("Transpose", [e.name(tensor)], { perm: ints(perm) });
}

const lowerings: { readonly [K in OpName]: Lowering<K> } = {
  input: ({ attributes: { name }, outputs: [x] }, e) => {
    e.rename(x!, name);
    e.inputs.push({ name, dtype: x!.dtype, shape: x!.shape });
  },
  param: ({ attributes: { path }, outputs: [x] }, e) => {
    const source = e.parameter(path);
    if (source === "input") {
      e.inputs.push({ name: path, dtype: x!.dtype, shape: x!.shape });
      e.rename(x!, path);
    } else e.holdWeight(x!, source);
  },
  constant: ({ attributes: { data }, outputs: [x] }, e) =>
    e.rename(x!, e.initializer(x!.dtype, staticShape(x!.shape), data)),
  add: direct("Add"),
  sub: direct("Sub"),
  mul: direct("Mul"),
  div: direct("Div"),
  neg: direct("Neg"),
  exp: direct("Exp"),
  sqrt: direct("Sqrt"),
  abs: direct("Abs"),
  sin: direct("Sin"),
  cos: direct("Cos"),
  sigmoid: direct("Sigmoid"),
  erf: direct("Erf"),
  relu: direct("Relu"),
  silu: direct("QuickGelu", { alpha: { float: 1 } }, microsoft),
  gelu: direct("Gelu", {}, microsoft),
  geluTanh: direct("FastGelu", {}, microsoft),
  floor: direct("Floor"),
  matmul: (node, e) => {
    const { transA, transB, scale } = node.attributes;
    const [x, matrix] = node.inputs;
    const weight = e.weight(matrix!);
    if (weight && isQuantizedWeight(weight) && !transA && transB && scale === 1) {
      emitQuantizedLinear(e.name(x!), weight, undefined, e.name(node.outputs[0]!), e);
      return;
    }
    if (!transA && !transB && scale === 1) return direct("MatMul")(node, e);
    if (e.isWebGpu) {
      const operand = (tensor: Tensor, isTurned: boolean) => (isTurned ? turned(tensor, e) : e.name(tensor));
      const left = operand(x!, transA);
      const scaled = scale === 1 ? left : e.step("Mul", [left, e.initializer("f32", [], Float32Array.of(scale))]);
      e.node("MatMul", [scaled, operand(matrix!, transB)], results(node, e));
      return;
    }
    const attributes = { transA: int(Number(transA)), transB: int(Number(transB)), alpha: { float: scale } };
    e.node("FusedMatMul", names(node, e), results(node, e), attributes, microsoft);
  },
  reshape: ({ inputs: [x], outputs: [y], attributes: { shape } }, e) =>
    e.reshape(e.name(x!), x!.shape, shape, e.name(y!)),
  linear: (node, e) => {
    const [x, matrix, bias] = node.inputs;
    const weight = e.weight(matrix!);
    if (weight && isQuantizedWeight(weight))
      emitQuantizedLinear(e.name(x!), weight, e.name(bias!), e.name(node.outputs[0]!), e);
    else direct("Gemm", { transB: int(1) })(node, e);
  },
  transpose: (node, e) => e.node("Transpose", names(node, e), results(node, e), { perm: ints(node.attributes.perm) }),
  expand: (node, e) => {
    const [x] = node.inputs;
    const { shape } = node.attributes;
    const sizes = shape.map((dim, i) => {
      if (dim === x!.shape[i - shape.length + x!.rank]) return 1;
      if (typeof dim !== "number")
        throw new Error(`expand: ${formatShape(x!.shape)} cannot repeat to the dynamic ${formatShape(shape)}`);
      return dim;
    });
    e.node("Expand", [...names(node, e), e.integers(sizes)], results(node, e));
  },
  slice: (node, e) => {
    const weight = e.weight(node.inputs[0]!);
    const [range, ...others] = node.attributes.ranges;
    if (weight && range!.axis === 0 && range!.step === 1 && others.length === 0) {
      e.holdWeight(node.outputs[0]!, rowsOf(weight, range!.start, range!.end));
      return;
    }
    const { ranges } = node.attributes;
    const columns = (["start", "end", "axis", "step"] as const).map((key) => e.integers(ranges.map((one) => one[key])));
    e.node("Slice", [...names(node, e), ...columns], results(node, e));
  },
  pad: (node, e) => {
    const { margins } = node.attributes;
    const sizes = [...margins.map(({ before }) => before), ...margins.map(({ after }) => after)];
    const axes = e.integers(margins.map(({ axis }) => axis));
    e.node("Pad", [...names(node, e), e.integers(sizes), "", axes], results(node, e));
  },
  concat: (node, e) => e.node("Concat", names(node, e), results(node, e), { axis: int(node.attributes.axis) }),
  split: (node, e) => {
    const { axis, sizes } = node.attributes;
    if (e.isWebGpu && sizes.length === 2 && sizes.some((size) => typeof size === "string")) {
      // Sizes that are known at run time only would be joined on the CPU.
      const [x, border, along] = [names(node, e)[0]!, e.sizes([sizes[0]!]), e.integers([axis])];
      const [first, second] = results(node, e);
      e.node("Slice", [x, e.integers([0]), border, along], [first!]);
      e.node("Slice", [x, border, e.integers([2 ** 31 - 1]), along], [second!]);
      return;
    }
    e.node("Split", [...names(node, e), e.sizes(sizes)], results(node, e), { axis: int(axis) });
  },
  sum: (node, e) => {
    const [x] = node.inputs;
    const { axes } = node.attributes;
    const isLeading = axes.every((axis, i) => axis === i) && axes.length < x!.rank;
    if (!isLeading || x!.dtype !== "f32" || x!.shape.some((dim) => typeof dim !== "number"))
      return reduction("ReduceSum")(node, e);
    // A row of ones times the matrix: up to 8 times faster than the reduction of leading axes.
    const shape = staticShape(x!.shape);
    const rows = shape.slice(0, axes.length).reduce((a, b) => a * b, 1);
    const columns = shape.slice(axes.length).reduce((a, b) => a * b, 1);
    const matrix = x!.rank === 2 ? e.name(x!) : e.reshape(e.name(x!), shape, [rows, columns]);
    const sums = e.step("MatMul", [e.ones(1, rows), matrix]);
    e.reshape(sums, [1, columns], node.outputs[0]!.shape, e.name(node.outputs[0]!));
  },
  mean: reduction("ReduceMean"),
  softmax: direct("Softmax", { axis: int(-1) }),
  softmaxMatmul: ({ inputs: [scores, values], outputs: [y, probabilities] }, e) => {
    e.node("Softmax", [e.name(scores!)], [e.name(probabilities!)], { axis: int(-1) });
    e.node("MatMul", [e.name(probabilities!), e.name(values!)], [e.name(y!)]);
  },
  logSoftmax: (node, e) => {
    if (!e.isWebGpu) return direct("LogSoftmax", { axis: int(-1) })(node, e);
    const [x] = names(node, e) as [string];
    const over = (op: string, from: string) => e.step(op, [from, e.integers([-1])], { keepdims: int(1) });
    const shifted = e.step("Sub", [x, over("ReduceMax", x)]);
    e.node("Sub", [shifted, over("ReduceLogSumExp", shifted)], results(node, e));
  },
  gather: (node, e) => {
    const [table, indices] = node.inputs;
    const weight = e.weight(table!);
    const [y] = results(node, e);
    if (weight && isQuantizedWeight(weight)) emitQuantizedGather(weight, e.name(indices!), y!, e);
    else if (!weight || weight.dtype === "f32" || e.isWebGpu) direct("Gather", { axis: int(0) })(node, e);
    // Only the rows that are asked for are widened, not the table.
    else e.node("Cast", [e.step("Gather", [e.hold(weight), e.name(indices!)], { axis: int(0) })], [y!], { to: int(1) });
  },
  addRows: ({ inputs: [x, indices, values], outputs: [y] }, e) => {
    const long = e.step("Cast", [e.name(indices!)], { to: int(7) });
    const positions = e.reshape(long, indices!.shape, [...indices!.shape, 1]);
    e.node("ScatterND", [e.name(x!), positions, e.name(values!)], [e.name(y!)], { reduction: { text: "add" } });
  },
  pick: ({ inputs: [x, indices], outputs: [y] }, e) => {
    const column = e.column(indices!);
    // WebGPU picks floats alone; they hold every index that a graph has.
    const isCast = e.isWebGpu && x!.dtype !== "f32";
    const values = isCast ? e.step("Cast", [e.name(x!)], { to: int(ELEMENT_TYPES.f32) }) : e.name(x!);
    const picked = e.step("GatherElements", [values, column], { axis: int(1) });
    const own = isCast ? e.step("Cast", [picked], { to: int(ELEMENT_TYPES[x!.dtype]) }) : picked;
    e.reshape(own, [indices!.dim(0), 1], y!.shape, e.name(y!));
  },
  addAt: ({ inputs: [x, indices, values], outputs: [y] }, e) => {
    const rows = x!.size(0);
    const row = e.initializer(
      "i64",
      [rows, 1],
      new BigInt64Array(rows).map((_, i) => BigInt(i)),
    );
    const column = e.reshape(e.step("Cast", [e.name(indices!)], { to: int(7) }), [rows], [rows, 1]);
    const positions = e.step("Concat", [row, column], { axis: int(1) });
    e.node("ScatterND", [e.name(x!), positions, e.name(values!)], [e.name(y!)], { reduction: { text: "add" } });
  },
  crossEntropy: ({ inputs: [logits, labels], outputs }, e) => emitCrossEntropy(e.name(logits!), labels!, outputs, e),
  linearCrossEntropy: ({ inputs: [x, matrix, labels], outputs }, e) => {
    const logits = e.fresh();
    const weight = e.weight(matrix!);
    if (weight && isQuantizedWeight(weight)) emitQuantizedLinear(e.name(x!), weight, undefined, logits, e);
    else e.node("FusedMatMul", [e.name(x!), e.name(matrix!)], [logits], { transB: int(1) }, microsoft);
    emitCrossEntropy(logits, labels!, outputs, e);
  },
  argmin: extremum("ArgMin"),
  argmax: extremum("ArgMax"),
  largest: (node, e) => {
    const [values, order] = node.outputs;
    const name = e.fresh();
    e.node("TopK", names(node, e), [e.name(values!), name], { axis: int(-1) });
    e.holdIndices(order!, { name, shape: order!.shape, count: node.inputs[0]!.dim(-1) });
  },
  cumulativeSum: ({ inputs: [x], outputs: [y] }, e) =>
    e.node("CumSum", [e.name(x!), e.integers([x!.rank - 1])], [e.name(y!)]),
  stopGradient: ({ inputs: [x], outputs: [y] }, e) => {
    const weight = e.weight(x!);
    if (weight) e.holdWeight(y!, weight);
    else e.rename(y!, e.name(x!));
  },
  layerNorm: (node, e) => {
    const [x, ...weights] = names(node, e);
    const scale = weights.length > 0 ? weights : [e.ones(node.inputs[0]!.size(-1))];
    e.node("LayerNormalization", [x!, ...scale], results(node, e), ofRows(node.attributes));
  },
  rmsNorm: (node, e) =>
    e.node("SimplifiedLayerNormalization", names(node, e), results(node, e), ofRows(node.attributes)),
  rotary: ({ inputs: [x, cos, sin, rows], outputs: [y] }, e) => {
    if (rows || (x!.rank === 4 && cos!.rank === 2)) {
      // Without rows the tables' row t is for position t: the offset of positions is 0.
      const inputs = [e.name(x!), rows ? e.name(rows) : e.integers([0]), e.name(cos!), e.name(sin!)];
      e.node("RotaryEmbedding", inputs, [e.name(y!)], {}, microsoft);
      return;
    }
    const half = x!.size(-1) / 2;
    const [first, second] = [e.fresh(), e.fresh()];
    e.node("Split", [e.name(x!), e.integers([half, half])], [first, second], { axis: int(x!.rank - 1) });
    const product = (a: string, b: Tensor) => e.step("Mul", [a, e.name(b)]);
    const left = e.step("Sub", [product(first, cos!), product(second, sin!)]);
    const right = e.step("Add", [product(second, cos!), product(first, sin!)]);
    e.node("Concat", [left, right], [e.name(y!)], { axis: int(x!.rank - 1) });
  },
  conv2d: (node, e) => {
    const { stride, padding, groups } = node.attributes;
    const [x, filter, bias] = node.inputs;
    const weight = e.weight(filter!);
    if (weight && isQuantizedWeight(weight) && stride === 1 && padding === 0 && groups === 1) {
      // Of 1 x 1, and so a linear map over the channels of each pixel.
      const pixels = e.step("Transpose", [e.name(x!)], { perm: ints([0, 2, 3, 1]) });
      const mapped = e.fresh();
      emitQuantizedLinear(pixels, weight, bias && e.name(bias), mapped, e);
      e.node("Transpose", [mapped], results(node, e), { perm: ints([0, 3, 1, 2]) });
      return;
    }
    e.node("Conv", names(node, e), results(node, e), { ...evenly(stride, padding), group: int(groups) });
  },
  convInput: (node, e) => {
    const [dy, weight] = node.inputs;
    const { stride, padding, groups, height, width } = node.attributes;
    const [O, I, kh, kw] = staticShape(weight!.shape) as [number, number, number, number];
    const group = { group: int(groups) };
    if (stride > 1) {
      const missing = (size: number, out: number, k: number) => size - ((out - 1) * stride - 2 * padding + k);
      e.node("ConvTranspose", names(node, e), results(node, e), {
        ...group,
        ...evenly(stride, padding),
        output_padding: ints([missing(height, dy!.size(2), kh), missing(width, dy!.size(3), kw)]),
      });
      return;
    }
    // The same convolution with channels exchanged inside each group and the kernel turned by 180 degrees.
    const grouped = e.reshape(e.name(weight!), weight!.shape, [groups, O / groups, I, kh, kw]);
    const exchanged = e.step("Transpose", [grouped], { perm: ints([0, 2, 1, 3, 4]) });
    let kernel = e.reshape(exchanged, [groups, I, O / groups, kh, kw], [groups * I, O / groups, kh, kw]);
    if (kh * kw > 1) {
      const far = -(2 ** 31);
      const [starts, ends, axes] = [e.integers([-1, -1]), e.integers([far, far]), e.integers([2, 3])];
      kernel = e.step("Slice", [kernel, starts, ends, axes, starts]);
    }
    const [py, px] = [kh - 1 - padding, kw - 1 - padding];
    e.node("Conv", [e.name(dy!), kernel], results(node, e), { ...group, pads: ints([py, px, py, px]) });
  },
};
