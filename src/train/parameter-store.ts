// Every parameter that a run trains, in one WebAssembly memory with its gradient and the optimizer's moments. Frozen parameters are
// session weights and take no space here.
// All regions have the same layout, so one kernel call updates a whole range; sessions read and write the memory in place.
//   values | gradients | first moments | second moments | accumulated gradients | running average

import { MemoryError, ModelError } from "../errors.ts";
import { instantiateKernels, type VectorKernels } from "../kernels/vectors.ts";
import type { CounterRandom } from "../random/counter.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { Parameter } from "../tensor/graph.ts";
import type { Init } from "../tensor/params.ts";

export const regions = ["values", "gradients", "firstMoments", "secondMoments", "accumulated", "average"] as const;
export type Region = (typeof regions)[number];

export interface StoredParameter {
  readonly path: string;
  readonly shape: readonly number[];
  readonly init: Init;
  /** Elements from the start of a region. */
  readonly offset: number;
  readonly length: number;
}

/** Parameters start at multiples of 64 bytes: a cache line, and whole SIMD vectors. */
const ALIGNMENT = 16;
const PAGE_BYTES = 65536;
/** The capacity of one WebAssembly memory. */
const MAX_BYTES = 2 ** 32;

export interface StoreOptions {
  /** Whether gradients of several micro-batches are summed. */
  readonly accumulates?: boolean;
  /** Whether a running average of the values is kept. */
  readonly averages?: boolean;
}

function allocate(bytes: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(bytes / PAGE_BYTES)) });
  } catch {
    throw new MemoryError(
      `Training needs ${bytes} bytes of memory for its parameters, which are not available`,
      bytes,
      0,
    );
  }
}

export class ParameterStore {
  readonly parameters: ReadonlyMap<string, StoredParameter>;
  readonly kernels: VectorKernels;
  /** Elements of a region, padding included. */
  readonly trainedLength: number;
  /** Whether a running average is kept. */
  readonly averages: boolean;
  readonly #memory: WebAssembly.Memory;
  readonly #starts: ReadonlyMap<Region, number>;

  /** Lays out the parameters; throws if they do not fit into one memory (about 268 million trained ones). */
  constructor(declared: Iterable<Pick<Parameter, "path" | "shape" | "init">>, options: StoreOptions = {}) {
    const parameters = new Map<string, StoredParameter>();
    let at = 0;
    for (const { path, shape, init } of declared) {
      const length = shape.reduce((a, b) => a * b, 1);
      parameters.set(path, { path, shape, init, offset: at, length });
      at += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    }
    this.averages = options.averages ?? false;
    this.trainedLength = at;
    this.parameters = parameters;
    const sizes: Record<Region, number> = {
      values: this.trainedLength,
      gradients: this.trainedLength,
      firstMoments: this.trainedLength,
      secondMoments: this.trainedLength,
      accumulated: options.accumulates ? this.trainedLength : 0,
      average: options.averages ? this.trainedLength : 0,
    };
    const starts = new Map<Region, number>();
    let bytes = 0;
    for (const region of regions) {
      starts.set(region, bytes);
      bytes += sizes[region] * Float32Array.BYTES_PER_ELEMENT;
    }
    if (bytes > MAX_BYTES) {
      throw new MemoryError(
        `Training ${this.trainedLength} parameters needs ${bytes} bytes of memory, more than the 4 GiB of one WebAssembly memory. Train fewer of them (train in the config), or use a smaller model`,
        bytes,
        MAX_BYTES,
      );
    }
    this.#starts = starts;
    this.#memory = allocate(bytes);
    this.kernels = instantiateKernels(this.#memory);
  }

  /** Byte address of an element of a region, for the kernels. */
  address(region: Region, offset = 0): number {
    return this.#starts.get(region)! + offset * Float32Array.BYTES_PER_ELEMENT;
  }

  /** The live values of one parameter in a region. */
  view(region: Region, path: string): Float32Array<ArrayBuffer> {
    const { offset, length } = this.find(path);
    return new Float32Array(this.#memory.buffer, this.address(region, offset), length);
  }

  /** The same as a tensor, for session inputs and files. */
  tensor(region: Region, path: string): HostTensor {
    return hostTensor("f32", this.view(region, path), this.find(path).shape);
  }

  /** Sets one parameter's values; throws if the shape differs. */
  set(region: Region, path: string, value: HostTensor): void {
    const { shape } = this.find(path);
    if (value.dtype !== "f32" || value.shape.join() !== shape.join()) {
      throw new ModelError(`${path} is ${value.dtype} [${value.shape}], expected f32 [${shape}]`);
    }
    this.view(region, path).set(value.data as Float32Array);
  }

  /** Draws initial values, which depend only on the seed and each parameter's path. */
  initialize(random: CounterRandom): void {
    for (const { path, init } of this.parameters.values()) {
      const values = this.view("values", path);
      const draw = random.fork(path);
      if (init.kind === "constant") values.fill(init.value);
      else if (init.kind === "normal") for (let i = 0; i < values.length; i++) values[i] = init.std * draw.normal(i);
      else for (let i = 0; i < values.length; i++) values[i] = init.limit * (2 * draw.uniform(i) - 1);
    }
  }

  /** Fills a region with zeros. */
  clear(region: Region): void {
    if (this.trainedLength > 0) new Float32Array(this.#memory.buffer, this.address(region), this.trainedLength).fill(0);
  }

  /** Bytes of the trained values, gradients and moments. */
  get sizeBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  private find(path: string): StoredParameter {
    const found = this.parameters.get(path);
    if (!found) throw new Error(`the store has no parameter ${path}`);
    return found;
  }
}

/** All current values by path. */
export function valuesOf(store: ParameterStore): Map<string, HostTensor> {
  return new Map([...store.parameters.keys()].map((path) => [path, store.tensor("values", path)]));
}
