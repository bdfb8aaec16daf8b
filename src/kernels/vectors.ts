// Loops over long float32 vectors in one WebAssembly memory: AdamW, clipping, norms, running averages.
// SIMD loops are 7 to 9 times faster here than JavaScript or nodes of the graph (docs/decisions/0001-engine.md).

import {
  assemble,
  type Code,
  f32,
  f32x4,
  f64,
  f64x2,
  get,
  highHalf,
  i32,
  set,
  v128,
  vectorLoop,
  type WasmFunction,
} from "./assembler.ts";

/** Byte addresses are multiples of 16 and byte counts positive multiples of 64, a cache line. */
export interface VectorKernels {
  /**
   * One AdamW step (Loshchilov and Hutter, 2019): m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2,
   * p = p decay - rate m / (sqrt(v) + eps), with bias corrections already folded into rate and eps.
   */
  adamw(
    p: number,
    m: number,
    v: number,
    g: number,
    bytes: number,
    b1: number,
    b2: number,
    decay: number,
    rate: number,
    eps: number,
  ): void;
  /** x = a x + b y */
  blend(x: number, y: number, bytes: number, a: number, b: number): void;
  /** Clamps every element to [-limit, limit]. */
  clamp(x: number, bytes: number, limit: number): void;
  /** Sum of squares, accumulated in float64. */
  sumSquares(x: number, bytes: number): number;
}

const P = i32.type;
const F = f32.type;

/** Compiles the kernels over `memory`. */
export function instantiateKernels(memory: WebAssembly.Memory): VectorKernels {
  const module = new WebAssembly.Module(assemble([adamw(), blend(), clamp(), sumSquares()]));
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as VectorKernels;
}

const at = (base: number, offset: number): Code => [get(base), get(offset), i32.add];
const load = (base: number, offset: number): Code => [at(base, offset), v128.load()];
const splat = (parameter: number): Code => [get(parameter), f32x4.splat];

function adamw(): WasmFunction {
  const [p, m, v, g, bytes, b1, b2, decay, rate, eps, offset, grad, first, second, one] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
  ] as const;
  const complement = (b: number): Code => [get(one), splat(b), f32x4.sub];
  return {
    name: "adamw",
    parameters: [P, P, P, P, P, F, F, F, F, F],
    locals: [P, v128.type, v128.type, v128.type, v128.type],
    body: [
      [0x43, 0x00, 0x00, 0x80, 0x3f], // f32.const 1
      f32x4.splat,
      set(one),
      vectorLoop(offset, bytes, [
        [load(g, offset), set(grad)],
        [load(m, offset), splat(b1), f32x4.mul, get(grad), complement(b1), f32x4.mul, f32x4.add, set(first)],
        [
          load(v, offset),
          splat(b2),
          f32x4.mul,
          get(grad),
          get(grad),
          f32x4.mul,
          complement(b2),
          f32x4.mul,
          f32x4.add,
          set(second),
        ],
        [at(m, offset), get(first), v128.store()],
        [at(v, offset), get(second), v128.store()],
        [at(p, offset), load(p, offset), splat(decay), f32x4.mul],
        [get(first), splat(rate), f32x4.mul, get(second), f32x4.sqrt, splat(eps), f32x4.add, f32x4.div],
        [f32x4.sub, v128.store()],
      ]),
    ],
  };
}

function blend(): WasmFunction {
  const [x, y, bytes, a, b, offset] = [0, 1, 2, 3, 4, 5] as const;
  return {
    name: "blend",
    parameters: [P, P, P, F, F],
    locals: [P],
    body: vectorLoop(offset, bytes, [
      at(x, offset),
      [load(x, offset), splat(a), f32x4.mul, load(y, offset), splat(b), f32x4.mul, f32x4.add],
      v128.store(),
    ]),
  };
}

function clamp(): WasmFunction {
  const [x, bytes, limit, offset] = [0, 1, 2, 3] as const;
  return {
    name: "clamp",
    parameters: [P, P, F],
    locals: [P],
    body: vectorLoop(offset, bytes, [
      at(x, offset),
      load(x, offset),
      splat(limit),
      f32x4.min,
      splat(limit),
      f32x4.neg,
      f32x4.max,
      v128.store(),
    ]),
  };
}

/** Four vectors per iteration, each half into its own sum: with one sum every addition would wait for the previous one. */
function sumSquares(): WasmFunction {
  const [x, bytes, offset, value] = [0, 1, 2, 3] as const;
  const sums = [4, 5, 6, 7, 8, 9, 10, 11] as const;
  const addSquare = (sum: number): Code => [
    [f64x2.promoteLow, set(value)],
    [get(value), get(value), f64x2.mul, get(sum), f64x2.add, set(sum)],
  ];
  const vector = (i: number): Code => [get(x), get(offset), i32.add, v128.load(16 * i)];
  const turn = [0, 1, 2, 3].map((i) => [
    [vector(i), addSquare(sums[2 * i]!)],
    [vector(i), vector(i), highHalf, addSquare(sums[2 * i + 1]!)],
  ]);
  const [first, ...others] = sums;
  return {
    name: "sumSquares",
    parameters: [P, P],
    result: f64.type,
    locals: [P, v128.type, ...sums.map(() => v128.type)],
    body: [
      vectorLoop(offset, bytes, turn, 64),
      [get(first), others.map((sum) => [get(sum), f64x2.add]), set(first)],
      [get(first), f64x2.extract(0), get(first), f64x2.extract(1), f64.add],
    ],
  };
}
