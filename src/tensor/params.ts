// Parameters by path: asking for a weight declares it, so each shape and initial value is said once, where it is used.
// The path is the checkpoint's own tensor name.

import { formatShape } from "./dims.ts";
import type { AdaptLinear, Graph } from "./graph.ts";
import type { Tensor } from "./tensor.ts";

/** How a parameter starts when it is trained from nothing. */
export type Init =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "normal"; readonly std: number }
  | { readonly kind: "uniform"; readonly limit: number };

export const init = {
  zeros: { kind: "constant", value: 0 } as Init,
  ones: { kind: "constant", value: 1 } as Init,
  constant: (value: number): Init => ({ kind: "constant", value }),
  normal: (std: number): Init => ({ kind: "normal", std }),
  uniform: (limit: number): Init => ({ kind: "uniform", limit }),
  /** N(0, 1/fanIn) */
  lecun: (fanIn: number): Init => ({ kind: "normal", std: 1 / Math.sqrt(fanIn) }),
  /** Uniform within sqrt(6 / (fanIn + fanOut)) (Glorot and Bengio, 2010). */
  xavier: (fanIn: number, fanOut: number): Init => ({ kind: "uniform", limit: Math.sqrt(6 / (fanIn + fanOut)) }),
};

/** Elements that one declared tensor may have: beyond this a config is absurd, and buffers would not hold it. */
const MAX_ELEMENTS = 2 ** 33;

export class Params {
  readonly path: string;
  readonly #graph: Graph;

  constructor(graph: Graph, path: string) {
    this.#graph = graph;
    this.path = path;
  }

  /** What is added to linear maps of this graph. */
  get adaptLinear(): AdaptLinear | undefined {
    return this.#graph.adaptLinear;
  }

  /** The path below: at("layers", 3) of "model" is "model.layers.3". */
  at(...names: (string | number)[]): Params {
    return new Params(this.#graph, join(this.path, names.join(".")));
  }

  /** Notes what the layer at this path returns, as an activation of the graph, and gives it back. */
  mark(activation: Tensor): Tensor {
    this.#graph.activations.set(this.path, activation);
    return activation;
  }

  /** Declares the weight `name` here and returns it; asked twice, the same tensor. Throws when the shapes differ. */
  get(name: string, shape: readonly number[], initial: Init = init.zeros): Tensor {
    const path = join(this.path, name);
    this.#graph.lastPath = path;
    const known = this.#graph.parameters.get(path);
    if (known) {
      if (formatShape(known.shape) !== formatShape(shape)) {
        throw new Error(`${path} is declared as ${formatShape(known.shape)} and as ${formatShape(shape)}`);
      }
      return known.tensor;
    }
    const size = shape.reduce((a, b) => a * b, 1);
    if (shape.some((n) => !Number.isInteger(n) || n < 1) || size > MAX_ELEMENTS) {
      throw new Error(
        `${path} cannot have the shape ${formatShape(shape)}: sizes must be whole and positive, at most 2^33 elements`,
      );
    }
    const tensor = this.#graph.node("param", { path }, [], [[shape, "f32"]]);
    this.#graph.parameters.set(path, { path, shape, init: initial, tensor });
    return tensor;
  }
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
