// A graph under construction: inputs, parameters, constants and named outputs.
// Model code traces itself into one by calling methods of its tensors; onnx/lower.ts turns it into a file.

import { formatShape, type Shape } from "./dims.ts";
import type { DType, OpAttributes, OpName } from "./ops.ts";
import { type Init, Params } from "./params.ts";
import { Tensor } from "./tensor.ts";

export interface GraphNode<K extends OpName = OpName> {
  readonly op: K;
  readonly attributes: OpAttributes[K];
  readonly inputs: readonly Tensor[];
  outputs: readonly Tensor[];
}

export interface Parameter {
  readonly path: string;
  readonly shape: readonly number[];
  readonly init: Init;
  readonly tensor: Tensor;
}

/** What becomes of y [.., out], the linear map at `p` of x [.., in]; the same tensor where nothing does. See nn/adapter.ts. */
export type AdaptLinear = (p: Params, x: Tensor, y: Tensor) => Tensor;

export class Graph {
  readonly inputs = new Map<string, Tensor>();
  readonly outputs = new Map<string, Tensor>();
  readonly parameters = new Map<string, Parameter>();
  /** What layers return, by their paths, where model code marks it: for comparison with other implementations. */
  readonly activations = new Map<string, Tensor>();
  readonly params: Params = new Params(this, "");
  /** In order of creation, which is a topological order. */
  readonly nodes: GraphNode[] = [];
  /** The path of the parameter declared last: tells an error message where tracing had got to. */
  lastPath = "";
  /** Set before a model is traced that is adapted. */
  adaptLinear: AdaptLinear | undefined;
  readonly #scalars = new Map<number, Tensor>();

  /** A tensor that is fed at each run. Names of dynamic dimensions are strings. */
  input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
    const known = this.inputs.get(name);
    if (known)
      throw new Error(`input ${name} is declared twice: ${formatShape(known.shape)} and ${formatShape(shape)}`);
    const tensor = this.node("input", { name }, [], [[shape, dtype]]);
    this.inputs.set(name, tensor);
    return tensor;
  }

  /** A fixed tensor kept inside the graph: small tables and masks. A plain array becomes float32. */
  constant(
    data: Float32Array | Int32Array | BigInt64Array | readonly number[],
    shape: readonly number[],
    dtype?: DType,
  ): Tensor {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Array.isArray(data)
      ? dtype === "i32"
        ? Int32Array.from(data)
        : Float32Array.from(data)
      : (data as Float32Array | Int32Array | BigInt64Array);
    if (values.length !== size) throw new Error(`constant: ${values.length} values do not fill ${formatShape(shape)}`);
    const own = values instanceof Float32Array ? "f32" : values instanceof Int32Array ? "i32" : "i64";
    return this.node("constant", { data: values }, [], [[shape, own]]);
  }

  /** A float32 number as a tensor of rank 0, made once for each value. */
  scalar(value: number): Tensor {
    let tensor = this.#scalars.get(value);
    if (!tensor) {
      tensor = this.constant([value], []);
      this.#scalars.set(value, tensor);
    }
    return tensor;
  }

  /** Names a tensor as a result. */
  output(name: string, tensor: Tensor): void {
    if (this.outputs.has(name)) throw new Error(`output ${name} is named twice`);
    this.outputs.set(name, tensor);
  }

  /** Adds a node and returns its first output. For the tensor methods; model code does not call it. */
  node<K extends OpName>(
    op: K,
    attributes: OpAttributes[K],
    inputs: readonly Tensor[],
    outputs: readonly (readonly [Shape, DType])[],
  ): Tensor {
    for (const input of inputs) {
      if (input.graph !== this)
        throw new Error(`${op}: an operand of shape ${formatShape(input.shape)} belongs to another graph`);
    }
    const node: GraphNode<K> = { op, attributes, inputs, outputs: [] };
    node.outputs = outputs.map(
      ([shape, dtype], index) => new Tensor(this, node as unknown as GraphNode, index, shape, dtype),
    );
    this.nodes.push(node as unknown as GraphNode);
    return node.outputs[0] as Tensor;
  }
}

/** Nodes that these tensors, or all outputs of a graph, hang on, in the order in which they were made. */
export function neededNodes(graph: Graph, tensors: Iterable<Tensor> = graph.outputs.values()): GraphNode[] {
  const found = new Set<GraphNode>();
  const open = Array.from(tensors, ({ node }) => node);
  for (let node = open.pop(); node; node = open.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    open.push(...node.inputs.map((input) => input.node));
  }
  return graph.nodes.filter((node) => found.has(node));
}

/** Needed nodes that are computed at each run; what hangs on weights and constants alone is computed when a session is opened. */
export function runningNodes(graph: Graph): GraphNode[] {
  const fixed = new Set<Tensor>();
  return neededNodes(graph).filter(({ op, inputs, outputs }) => {
    if (op === "input" || inputs.some((input) => !fixed.has(input))) return true;
    for (const output of outputs) fixed.add(output);
    return false;
  });
}
