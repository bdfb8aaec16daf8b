// The WebAssembly memory of `kelix convert`: files are read into it, converted in place and written
// from it. The kernels work tile by tile, so that float32 elements stay in the L1 cache.

import { dequantize } from "../checkpoint/block-quantization.ts";
import { type ConvertKernels, instantiateKernels } from "../kernels/convert.ts";
import { quantize } from "../kernels/plain-quantization.ts";
import type { BlockFormat } from "../runtime/weight-source.ts";
import type { StoredForm } from "./precision.ts";

/** Sums over the elements that a model reads: of their squares, and of the squared errors of storing them. */
export interface SquareSums {
  readonly energy: number;
  readonly error: number;
}

/** A run of elements in its new form; the views are valid until the next run. */
export interface EncodedRun {
  readonly values: Uint8Array;
  /** Of blocks. */
  readonly scales?: Float32Array;
}

/** Elements in the L1 cache at a time: 16 KB of float32. */
const TILE = 4096;
/** Kernels process multiples of this many elements. */
const STEP = 32;
const SUMS = 0;
const TILE_AT = 64;
const INPUT_AT = TILE_AT + 4 * TILE;
const PAGE_BYTES = 65536;

/** A run of elements, as read and as converted. */
export class ConvertMemory {
  readonly #memory = new WebAssembly.Memory({ initial: 1 });
  readonly #kernels: ConvertKernels = instantiateKernels(this.#memory);
  #capacity = 0;

  /** Allocates for runs of this many elements and zeroes the sums. Earlier views become invalid. */
  begin(elements: number): void {
    this.#capacity = Math.max(this.#capacity, Math.ceil(elements / STEP) * STEP);
    const missing = this.#scalesAt + this.#capacity / 8 - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
    new Float64Array(this.#memory.buffer, SUMS, 2).fill(0);
  }

  get sums(): SquareSums {
    const [energy, error] = new Float64Array(this.#memory.buffer, SUMS, 2);
    return { energy: energy!, error: error! };
  }

  /** The buffer for a run's bytes, bf16 or float32. */
  input(bytes: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, INPUT_AT, bytes);
  }

  /** Converts the first `count` elements and updates the sums. */
  encode(dtype: "bf16" | "f32", count: number, form: StoredForm): EncodedRun {
    const size = dtype === "bf16" ? 2 : 4;
    const padded = Math.ceil(count / STEP) * STEP;
    new Uint8Array(this.#memory.buffer, INPUT_AT + count * size, (padded - count) * size).fill(0);
    for (let start = 0; start < padded; start += TILE) {
      const length = Math.min(TILE, padded - start);
      let elements = INPUT_AT + start * size;
      if (dtype === "bf16") {
        const widened = form === "f32" ? this.#valuesAt + 4 * start : TILE_AT;
        this.#kernels.widen(elements, widened, 4 * length);
        elements = widened;
      }
      if (form === "f32") this.#kernels.sumSquares(elements, 4 * length, SUMS);
      else if (form === "bf16") this.#kernels.narrow(elements, this.#valuesAt + 2 * start, 4 * length, SUMS);
      else this.#encodeBlocks(elements, start, length, form);
    }
    const { buffer } = this.#memory;
    if (form === "f32")
      return { values: new Uint8Array(buffer, dtype === "f32" ? INPUT_AT : this.#valuesAt, 4 * count) };
    if (form === "bf16") return { values: new Uint8Array(buffer, this.#valuesAt, 2 * count) };
    return {
      values: new Uint8Array(buffer, this.#valuesAt, (count * form.bits) / 8),
      scales: new Float32Array(buffer, this.#scalesAt, count / form.block),
    };
  }

  #encodeBlocks(elements: number, start: number, length: number, form: BlockFormat): void {
    const { bits, block } = form;
    const kernel = bits === 4 ? this.#kernels.quantize4 : this.#kernels.quantize8;
    const values = this.#valuesAt + (start * bits) / 8;
    const scales = this.#scalesAt + (4 * start) / block;
    const leftOut = kernel(elements, values, scales, length / block, 4 * block, SUMS);
    if (leftOut > 0)
      this.#encodeLeftOut(elements, values, new Float32Array(this.#memory.buffer, scales, length / block), form);
  }

  /** Uses the plain form for blocks whose squares float32 cannot sum, and for those with NaN, which then make the sums NaN as they should. */
  #encodeLeftOut(elements: number, values: number, scales: Float32Array, form: BlockFormat): void {
    const { bits, block } = form;
    const { buffer } = this.#memory;
    const sums = new Float64Array(buffer, SUMS, 2);
    for (const [b, scale] of scales.entries()) {
      if (!Number.isNaN(scale)) continue;
      const own = new Float32Array(buffer, elements + 4 * block * b, block);
      const blocks = quantize(own, form);
      new Uint8Array(buffer, values + (b * block * bits) / 8, (block * bits) / 8).set(blocks.values);
      scales[b] = blocks.scales[0]!;
      const stored = dequantize(blocks, form);
      for (let i = 0; i < block; i++) {
        sums[0]! += own[i]! ** 2;
        sums[1]! += (own[i]! - stored[i]!) ** 2;
      }
    }
  }

  get #valuesAt(): number {
    return INPUT_AT + 4 * this.#capacity;
  }

  get #scalesAt(): number {
    return this.#valuesAt + 4 * this.#capacity;
  }
}
