// Symbolic tensors: each method adds a node to the graph and settles its shape, or throws with both shapes and the
// weight that tracing had reached. Nothing is computed here.

import {
  addDims,
  broadcastShapes,
  type Dim,
  formatShape,
  movedSizes,
  resolveReshape,
  type Shape,
  staticShape,
} from "./dims.ts";
import type { Graph, GraphNode } from "./graph.ts";
import type { AxisMargin, AxisRange, Binary, DType, Unary } from "./ops.ts";

export class Tensor {
  readonly graph: Graph;
  readonly node: GraphNode;
  /** Which output of its node this is. */
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(graph: Graph, node: GraphNode, index: number, shape: Shape, dtype: DType) {
    this.graph = graph;
    this.node = node;
    this.index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The sizes, after checking the rank: const [B, T, D] = x.dims(3). */
  dims(rank: number): Dim[] {
    if (this.rank !== rank) this.fail(`expected ${rank} dimensions, got ${formatShape(this.shape)}`);
    return [...this.shape];
  }

  /** One size; negative counts from the end. */
  dim(axis: number): Dim {
    return this.shape[this.axis(axis)] as Dim;
  }

  /** One size that must be known now. */
  size(axis: number): number {
    const dim = this.dim(axis);
    if (typeof dim !== "number")
      this.fail(`axis ${axis} of ${formatShape(this.shape)} is dynamic where a fixed size is needed`);
    return dim as number;
  }

  add(other: Tensor | number): Tensor {
    return this.binary("add", other);
  }
  sub(other: Tensor | number): Tensor {
    return this.binary("sub", other);
  }
  mul(other: Tensor | number): Tensor {
    return this.binary("mul", other);
  }
  div(other: Tensor | number): Tensor {
    return this.binary("div", other);
  }
  neg(): Tensor {
    return this.unary("neg");
  }
  exp(): Tensor {
    return this.unary("exp");
  }
  sqrt(): Tensor {
    return this.unary("sqrt");
  }
  rsqrt(): Tensor {
    return this.graph.scalar(1).div(this.sqrt());
  }
  abs(): Tensor {
    return this.unary("abs");
  }
  sin(): Tensor {
    return this.unary("sin");
  }
  cos(): Tensor {
    return this.unary("cos");
  }
  sigmoid(): Tensor {
    return this.unary("sigmoid");
  }
  erf(): Tensor {
    return this.unary("erf");
  }
  relu(): Tensor {
    return this.unary("relu");
  }
  /** x * sigmoid(x) */
  silu(): Tensor {
    return this.unary("silu");
  }
  /** x * Phi(x), by the error function. */
  gelu(): Tensor {
    return this.unary("gelu");
  }
  /** GELU by its tanh approximation. */
  geluTanh(): Tensor {
    return this.unary("geluTanh");
  }
  square(): Tensor {
    return this.mul(this);
  }
  /** Largest whole number not above; its gradient is zero. */
  floor(): Tensor {
    return this.unary("floor");
  }

  /**
   * Matrix product over the last two axes, times `scale`: [.., M, K] x [.., K, N] -> [.., M, N]. Leading axes are broadcast.
   * transA, transB: the operand is stored with its last two axes swapped.
   */
  matmul(other: Tensor, options: { transA?: boolean; transB?: boolean; scale?: number } = {}): Tensor {
    const { transA = false, transB = false, scale = 1 } = options;
    const [a, b] = [this.shape, other.shape];
    if (a.length < 2 || b.length < 2)
      this.fail(`matmul: both operands need two axes, ${formatShape(a)} x ${formatShape(b)}`, other);
    const [M, K] = lastTwo(a, transA);
    const [L, N] = lastTwo(b, transB);
    if (K !== L) this.fail(`matmul: inner sizes differ, ${formatShape(a)} x ${formatShape(b)} (${K} and ${L})`, other);
    const lead = broadcastShapes(a.slice(0, -2), b.slice(0, -2));
    if (!lead) return this.fail(`matmul: leading sizes do not fit, ${formatShape(a)} x ${formatShape(b)}`, other);
    return this.graph.node("matmul", { transA, transB, scale }, [this, other], [[[...lead, M, N], "f32"]]);
  }

  /** x [.., in] times weight [out, in] transposed, plus bias [out]: [.., out]. */
  linear(weight: Tensor, bias?: Tensor | null): Tensor {
    const [out, width] = weight.dims(2) as [Dim, Dim];
    if (this.dim(-1) !== width) {
      this.fail(`linear: inner sizes differ, ${formatShape(this.shape)} x weight ${formatShape(weight.shape)}`, weight);
    }
    if (bias) this.needVector("linear", bias, out);
    if (this.shape.slice(0, -1).filter((dim) => typeof dim === "string").length > 1) {
      const product = this.matmul(weight, { transB: true }); // several dynamic sizes do not become one
      return bias ? product.add(bias) : product;
    }
    const flat = this.reshape([-1, width]);
    const y = bias
      ? this.graph.node("linear", {}, [flat, weight, bias], [[[flat.dim(0), out], "f32"]])
      : flat.matmul(weight, { transB: true });
    return y.reshape([...this.shape.slice(0, -1), out]);
  }

  /** The same elements in another shape; one size may be -1. What was reshaped before is read as it was. */
  reshape(shape: readonly Dim[]): Tensor {
    const resolved = resolveReshape(this.shape, shape);
    if (!resolved) return this.fail(`reshape: ${formatShape(this.shape)} does not fill ${formatShape(shape)}`);
    if (formatShape(resolved) === formatShape(this.shape)) return this;
    const [source] = this.node.op === "reshape" ? this.node.inputs : [];
    if (source && movedSizes(source.shape, resolved).length <= 1) return source.reshape(resolved);
    return this.graph.node("reshape", { shape: resolved }, [this], [[resolved, this.dtype]]);
  }

  /** Axes in another order: axis i of the result is axis perm[i]. Nothing moves where only axes of size 1 change places. */
  transpose(perm: readonly number[]): Tensor {
    if ([...perm].sort((a, b) => a - b).some((axis, i) => axis !== i) || perm.length !== this.rank) {
      this.fail(`transpose: [${perm}] is no order of the axes of ${formatShape(this.shape)}`);
    }
    const shape = perm.map((axis) => this.shape[axis] as Dim);
    const long = perm.filter((axis) => this.shape[axis] !== 1);
    if (long.every((axis, i) => i === 0 || axis > long[i - 1]!) && movedSizes(this.shape, shape).length <= 1)
      return this.reshape(shape);
    return this.graph.node("transpose", { perm }, [this], [[shape, this.dtype]]);
  }

  /** Repeats axes of size 1 (and missing leading ones) up to `shape`. */
  expand(shape: readonly Dim[]): Tensor {
    const out = broadcastShapes(this.shape, shape);
    if (!out || formatShape(out) !== formatShape(shape))
      this.fail(`expand: ${formatShape(this.shape)} does not repeat to ${formatShape(shape)}`);
    return this.graph.node("expand", { shape }, [this], [[shape, this.dtype]]);
  }

  /** Elements start, start + step, .. below end along one axis. */
  slice(axis: number, start: number, end: number, step = 1): Tensor {
    return this.sliceAxes([{ axis, start, end, step }]);
  }

  /** A range of each of several axes, in one copy. */
  sliceAxes(ranges: readonly AxisRange[]): Tensor {
    const shape = [...this.shape];
    const cut: AxisRange[] = [];
    for (const { axis, start, end, step } of ranges) {
      const at = this.axis(axis);
      const size = this.shape[at] as Dim;
      if (typeof size === "number" && (start < 0 || end > size || start >= end)) {
        this.fail(`slice: ${start} to ${end} is outside axis ${at} of ${formatShape(this.shape)}`);
      }
      if (start === 0 && end === size && step === 1) continue;
      shape[at] = Math.ceil((end - start) / step);
      cut.push({ axis: at, start, end, step });
    }
    return cut.length === 0 ? this : this.graph.node("slice", { ranges: cut }, [this], [[shape, this.dtype]]);
  }

  /** Zeros around several axes, in one copy. */
  padAxes(margins: readonly AxisMargin[]): Tensor {
    const shape = [...this.shape];
    const wide: AxisMargin[] = [];
    for (const { axis, before, after } of margins) {
      if (before === 0 && after === 0) continue;
      const at = this.axis(axis);
      shape[at] = addDims(this.shape[at] as Dim, before, after);
      wide.push({ axis: at, before, after });
    }
    return wide.length === 0 ? this : this.graph.node("pad", { margins: wide }, [this], [[shape, this.dtype]]);
  }

  /** Consecutive pieces of the given sizes along one axis. Dynamic sizes are names of whole axes of inputs. */
  split(axis: number, sizes: readonly Dim[]): Tensor[] {
    const at = this.axis(axis);
    if (addDims(...sizes) !== this.shape[at])
      this.fail(`split: [${sizes}] does not fill axis ${at} of ${formatShape(this.shape)}`);
    const first = this.graph.node(
      "split",
      { axis: at, sizes },
      [this],
      sizes.map((n) => [this.shape.with(at, n), this.dtype] as const),
    );
    return [...first.node.outputs];
  }

  /** Sum over axes. */
  sum(axes: readonly number[], keepDims = false): Tensor {
    return this.reduce("sum", axes, keepDims);
  }

  /** Mean over axes. */
  mean(axes: readonly number[], keepDims = false): Tensor {
    return this.reduce("mean", axes, keepDims);
  }

  /** Softmax over the last axis. */
  softmax(): Tensor {
    return this.graph.node("softmax", {}, [this], [[this.shape, "f32"]]);
  }

  /**
   * softmax over the last axis, times values: what attention does with its scores [.., M, K] and values [.., K, N].
   * The same numbers as softmax().matmul(values); one operation because its gradient is cheaper than those of the two.
   */
  softmaxMatmul(values: Tensor): Tensor {
    const lead = this.shape.slice(0, -1);
    const [K, N] = values.shape.slice(-2) as [Dim, Dim];
    const fits =
      this.rank === values.rank && formatShape(this.shape.slice(0, -2)) === formatShape(values.shape.slice(0, -2));
    if (this.rank < 2 || !fits || this.dim(-1) !== K) {
      this.fail(`softmaxMatmul: scores ${formatShape(this.shape)} for values ${formatShape(values.shape)}`, values);
    }
    const shapes = [[...lead, N], this.shape];
    return this.graph.node(
      "softmaxMatmul",
      {},
      [this, values],
      shapes.map((shape) => [shape, "f32"] as const),
    );
  }

  /** Log-softmax over the last axis. */
  logSoftmax(): Tensor {
    return this.graph.node("logSoftmax", {}, [this], [[this.shape, "f32"]]);
  }

  /** Rows by index: [R, ..rest] with indices i32 [..] -> [..indices, ..rest]. */
  gather(indices: Tensor): Tensor {
    this.needIndices("gather", indices);
    return this.graph.node("gather", {}, [this, indices], [[[...indices.shape, ...this.shape.slice(1)], this.dtype]]);
  }

  /** x [R, ..rest] with values [..indices, ..rest] added at the rows that indices name; repeats add up. */
  addRows(indices: Tensor, values: Tensor): Tensor {
    this.needIndices("addRows", indices);
    const wanted = formatShape([...indices.shape, ...this.shape.slice(1)]);
    if (formatShape(values.shape) !== wanted)
      this.fail(`addRows: values ${formatShape(values.shape)} for ${wanted}`, values);
    return this.graph.node("addRows", {}, [this, indices, values], [[this.shape, this.dtype]]);
  }

  /** x [R, V], indices i32 [R] -> [R], the element of each row that its index names. */
  pick(indices: Tensor): Tensor {
    const [R] = this.dims(2) as [Dim];
    this.needIndices("pick", indices);
    if (indices.rank !== 1 || indices.dim(0) !== R)
      this.fail(`pick: indices ${formatShape(indices.shape)} for rows of ${formatShape(this.shape)}`);
    return this.graph.node("pick", {}, [this, indices], [[[R], this.dtype]]);
  }

  /** x [R, V] with values [R] added at (r, indices[r]). */
  addAt(indices: Tensor, values: Tensor): Tensor {
    this.needIndices("addAt", indices);
    return this.graph.node("addAt", {}, [this, indices, values], [[this.shape, this.dtype]]);
  }

  /** Index of the smallest element of the last axis, the lowest on ties. i32. */
  argmin(): Tensor {
    return this.graph.node("argmin", {}, [this], [[this.shape.slice(0, -1), "i32"]]);
  }

  /** Index of the largest element of the last axis, the lowest on ties. i32. */
  argmax(): Tensor {
    return this.graph.node("argmax", {}, [this], [[this.shape.slice(0, -1), "i32"]]);
  }

  /**
   * The largest elements of the last axis in descending order, the lower index first on ties, and the indices they came
   * from, i32. `count`, i64 [1], says how many there are at run time, and `k` how many that is in the shapes.
   */
  largest(count: Tensor, k: Dim): { readonly values: Tensor; readonly order: Tensor } {
    if (count.dtype !== "i64" || formatShape(count.shape) !== "[1]")
      this.fail(`largest: the count must be i64 [1], got ${count.dtype} ${formatShape(count.shape)}`);
    const shape = this.shape.with(-1, k);
    const found = [shape, this.dtype] as const;
    const values = this.graph.node("largest", {}, [this, count], [found, [shape, "i32"]]);
    return { values, order: values.node.outputs[1] as Tensor };
  }

  /** Running sum along the last axis. */
  cumulativeSum(): Tensor {
    return this.graph.node("cumulativeSum", {}, [this], [[this.shape, this.dtype]]);
  }

  /** The same value; no gradient passes. */
  stopGradient(): Tensor {
    return this.graph.node("stopGradient", {}, [this], [[this.shape, this.dtype]]);
  }

  /** Normalises the last axis to mean 0 and (biased) variance 1, then scale and bias. */
  layerNorm(scale: Tensor | null, bias: Tensor | null, eps: number): Tensor {
    const width = this.size(-1);
    const weight = scale ?? (bias ? this.graph.constant(new Float32Array(width).fill(1), [width]) : null);
    const operands = [weight, bias].filter((tensor) => tensor !== null);
    for (const operand of operands) this.needVector("layerNorm", operand, width);
    const statistics: Shape = [...this.shape.slice(0, -1), 1];
    return this.graph.node(
      "layerNorm",
      { eps },
      [this, ...operands],
      [
        [this.shape, "f32"],
        [statistics, "f32"],
        [statistics, "f32"],
      ],
    );
  }

  /** x * rsqrt(mean(x^2) + eps) * scale over the last axis. */
  rmsNorm(scale: Tensor, eps: number): Tensor {
    this.needVector("rmsNorm", scale, this.size(-1));
    return this.graph.node(
      "rmsNorm",
      { eps },
      [this, scale],
      [
        [this.shape, "f32"],
        [[...this.shape.slice(0, -1), 1], "f32"],
      ],
    );
  }

  /**
   * Rotates the pairs (x[j], x[j + E/2]) of the last axis by angles given as cos and sin [.., E/2]. With `rows`, i64 [B, T],
   * those are tables [n, E/2], and x [B, heads, T, E] is turned by the rows that it names. For inference only.
   */
  rotary(cos: Tensor, sin: Tensor, rows?: Tensor): Tensor {
    if (rows) {
      const [B, , T] = this.dims(4);
      if (rows.dtype !== "i64" || formatShape(rows.shape) !== formatShape([B!, T!]))
        this.fail(`rotary: rows ${rows.dtype} ${formatShape(rows.shape)} for ${formatShape(this.shape)}`);
      return this.graph.node("rotary", {}, [this, cos, sin, rows], [[this.shape, "f32"]]);
    }
    const half: Shape = [...this.shape.slice(0, -1), this.size(-1) / 2];
    for (const table of [cos, sin]) {
      const out = broadcastShapes(half, table.shape);
      if (!out || formatShape(out) !== formatShape(half))
        this.fail(`rotary: a table ${formatShape(table.shape)} for ${formatShape(this.shape)}`);
    }
    return this.graph.node("rotary", {}, [this, cos, sin], [[this.shape, "f32"]]);
  }

  /** Convolution: x [B, C, H, W], weight [O, C/groups, k, k] -> [B, O, H', W']. Zero padding on all sides. */
  conv2d(
    weight: Tensor,
    bias: Tensor | null,
    options: { stride?: number; padding?: number; groups?: number } = {},
  ): Tensor {
    const { stride = 1, padding = 0, groups = 1 } = options;
    const [B, C, H, W] = this.dims(4) as [Dim, Dim, Dim, Dim];
    const [O, I, kh, kw] = staticShape(weight.shape) as [number, number, number, number];
    if (C !== I * groups || O % groups !== 0) {
      this.fail(
        `conv2d: ${formatShape(this.shape)} with weight ${formatShape(weight.shape)} and ${groups} groups`,
        weight,
      );
    }
    const extent = (size: Dim, k: number): Dim => {
      if (typeof size === "number") return Math.floor((size + 2 * padding - k) / stride) + 1;
      if (stride === 1 && k === 2 * padding + 1) return size;
      return this.fail(`conv2d: kernel ${k}, stride ${stride}, padding ${padding} on the dynamic size ${size}`, weight);
    };
    const shape: Shape = [B, O, extent(H, kh), extent(W, kw)];
    if (bias) this.needVector("conv2d", bias, O);
    return this.graph.node("conv2d", { stride, padding, groups }, bias ? [this, weight, bias] : [this, weight], [
      [shape, "f32"],
    ]);
  }

  private unary(op: Unary): Tensor {
    return this.graph.node(op, {}, [this], [[this.shape, this.dtype]]);
  }

  private binary(op: Binary, other: Tensor | number): Tensor {
    const right = typeof other === "number" ? this.graph.scalar(other) : other;
    const shape = broadcastShapes(this.shape, right.shape);
    if (!shape)
      return this.fail(`${op}: shapes do not fit, ${formatShape(this.shape)} and ${formatShape(right.shape)}`, right);
    if (this.dtype !== right.dtype) this.fail(`${op}: ${this.dtype} with ${right.dtype}`, right);
    return this.graph.node(op, {}, [this, right], [[shape, this.dtype]]);
  }

  private reduce(op: "sum" | "mean", axes: readonly number[], keepDims: boolean): Tensor {
    const at = axes.map((axis) => this.axis(axis)).sort((a, b) => a - b);
    const kept = this.shape.map((dim, i) => (at.includes(i) ? 1 : dim));
    const y = this.graph.node(op, { axes: at }, [this], [[kept, this.dtype]]);
    return keepDims ? y : y.reshape(this.shape.filter((_, i) => !at.includes(i)));
  }

  private axis(axis: number): number {
    const at = axis < 0 ? axis + this.rank : axis;
    if (!Number.isInteger(at) || at < 0 || at >= this.rank)
      this.fail(`axis ${axis} is outside ${formatShape(this.shape)}`);
    return at;
  }

  private needIndices(op: string, indices: Tensor): void {
    if (indices.dtype !== "i32") this.fail(`${op}: indices must be i32, got ${indices.dtype}`);
  }

  private needVector(op: string, weight: Tensor, width: Dim): void {
    if (formatShape(weight.shape) !== formatShape([width])) {
      this.fail(`${op}: a weight ${formatShape(weight.shape)} for ${formatShape(this.shape)}`, weight);
    }
  }

  /** Throws, naming the weight at hand: an operand's own path, or the one that tracing declared last. */
  private fail(message: string, other?: Tensor): never {
    const own = [other, this].find((tensor) => tensor?.node.op === "param");
    const path = own ? (own.node as GraphNode<"param">).attributes.path : this.graph.lastPath;
    const where = path === "" ? "" : own ? `, in ${path}` : `, after ${path}`;
    throw new Error(message + where);
  }
}

/** Joins tensors along one axis; all other sizes are equal. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  if (!first) throw new Error("concat: nothing to join");
  if (tensors.length === 1) return first;
  const at = axis < 0 ? axis + first.rank : axis;
  const others = (tensor: Tensor) => formatShape(tensor.shape.with(at, 0));
  if (tensors.some((tensor) => tensor.rank !== first.rank || others(tensor) !== others(first))) {
    throw new Error(
      `concat along axis ${at}: ${tensors.map((tensor) => formatShape(tensor.shape)).join(" and ")}, after ${first.graph.lastPath}`,
    );
  }
  const shape = first.shape.with(at, addDims(...tensors.map((tensor) => tensor.dim(at))));
  return first.graph.node("concat", { axis: at }, tensors, [[shape, first.dtype]]);
}

function lastTwo(shape: Shape, swapped: boolean): [Dim, Dim] {
  const [rows, columns] = shape.slice(-2) as [Dim, Dim];
  return swapped ? [columns, rows] : [rows, columns];
}
