// Element loops of `kelix convert` over one WebAssembly memory: widening, rounding, and the sums
// of squares that measure the rounding error.

import {
  assemble,
  type Code,
  f32x4,
  f64,
  f64x2,
  get,
  highHalf,
  i16x8,
  i32,
  i32x4,
  Locals,
  set,
  tee,
  v128,
  vectorLoop,
  type WasmFunction,
} from "./assembler.ts";
import { blockKernel } from "./block-quantization.ts";

type Block = (
  elements: number,
  values: number,
  scales: number,
  blocks: number,
  blockBytes: number,
  sums: number,
) => number;

/**
 * Arguments are byte addresses, multiples of 16, and byte counts, positive multiples of 64. The squares of elements and of
 * errors are added to two float64 at `sums`.
 */
export interface ConvertKernels {
  /** bf16 -> float32; `bytes` counts the latter. */
  widen(from: number, to: number, bytes: number): void;
  /** float32 -> bf16, to nearest, ties to even; `bytes` counts the former. NaN may become infinity. */
  narrow(from: number, to: number, bytes: number, sums: number): void;
  /** The squares of float32 elements that are stored unchanged. */
  sumSquares(elements: number, bytes: number, sums: number): void;
  /** See blockKernel. */
  quantize4: Block;
  quantize8: Block;
}

const P = i32.type;
const V = v128.type;

/** Compiles the kernels over `memory`. */
export function instantiateKernels(memory: WebAssembly.Memory): ConvertKernels {
  const functions = [widen(), narrow(), sumSquares(), blockKernel("quantize4", 4), blockKernel("quantize8", 8)];
  const module = new WebAssembly.Module(assemble(functions));
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as ConvertKernels;
}

function widen(): WasmFunction {
  const locals = new Locals();
  const { from, to, bytes } = locals.named(P, "from", "to", "bytes");
  const { offset } = locals.named(P, "offset");
  const { half } = locals.named(V, "half");
  const toFloat: Code = [i32.const(16), i32x4.shiftLeft];
  return {
    name: "widen",
    ...locals.types(3),
    body: vectorLoop(
      offset,
      bytes,
      [
        [get(from), v128.load(), set(half)],
        [get(to), get(offset), i32.add, get(half), i32x4.extendLow, toFloat, v128.store(0)],
        [get(to), get(offset), i32.add, get(half), i32x4.extendHigh, toFloat, v128.store(16)],
        [get(from), i32.const(16), i32.add, set(from)],
      ],
      32,
    ),
  };
}

function narrow(): WasmFunction {
  const locals = new Locals();
  const { from, to, bytes, sums } = locals.named(P, "from", "to", "bytes", "sums");
  const { offset } = locals.named(P, "offset");
  const { value, rounded, half, error, energy } = locals.named(V, "value", "rounded", "half", "error", "energy");
  const round = (i: number): Code => [
    [get(from), get(offset), i32.add, v128.load(16 * i), set(value)],
    [get(value), i32.const(16), i32x4.shiftRight, i32x4.const(1), v128.and, i32x4.const(0x7fff), i32x4.add],
    [get(value), i32x4.add, i32.const(16), i32x4.shiftRight, set(rounded)],
    addSquare(value, half, energy),
    [get(value), get(rounded), i32.const(16), i32x4.shiftLeft, f32x4.sub, set(value)],
    addSquare(value, half, error),
    get(rounded),
  ];
  return {
    name: "narrow",
    ...locals.types(4),
    body: [
      vectorLoop(
        offset,
        bytes,
        [
          [get(to), round(0), round(1), i16x8.narrowUnsigned, v128.store()],
          [get(to), i32.const(16), i32.add, set(to)],
        ],
        32,
      ),
      [addTo(sums, 0, energy), addTo(sums, 8, error)],
    ],
  };
}

function sumSquares(): WasmFunction {
  const locals = new Locals();
  const { elements, bytes, sums } = locals.named(P, "elements", "bytes", "sums");
  const { offset } = locals.named(P, "offset");
  const { value, half, energy } = locals.named(V, "value", "half", "energy");
  return {
    name: "sumSquares",
    ...locals.types(3),
    body: [
      vectorLoop(offset, bytes, [
        [get(elements), get(offset), i32.add, v128.load(), set(value)],
        addSquare(value, half, energy),
      ]),
      addTo(sums, 0, energy),
    ],
  };
}

/** Adds the squares of four float32 to two float64, using the local `half`. */
function addSquare(value: number, half: number, sum: number): Code {
  const add: Code = [f64x2.mul, get(sum), f64x2.add, set(sum)];
  const { promoteLow } = f64x2;
  return [
    [get(value), promoteLow, get(value), promoteLow, add],
    [get(value), get(value), highHalf, tee(half), promoteLow, get(half), promoteLow, add],
  ];
}

/** Adds both lanes to the float64 at `address` + `offset`. */
function addTo(address: number, offset: number, sum: number): Code {
  return [
    [get(address), get(address), f64.load(offset)],
    [get(sum), f64x2.extract(0), f64.add, get(sum), f64x2.extract(1), f64.add, f64.store(offset)],
  ];
}
