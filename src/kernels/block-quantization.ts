// The quantizer of plain-quantization.ts as a WebAssembly SIMD loop: rounding is bit-identical, sums are float32.
// Candidates are compared lane by lane: a branch on the winner would be mispredicted twice per block.

import { zeroPoint } from "../checkpoint/block-quantization.ts";
import type { BlockFormat } from "../runtime/weight-source.ts";
import {
  type Code,
  either,
  f32,
  f32x4,
  f64,
  get,
  i8x16,
  i16x8,
  i32,
  i32x4,
  Locals,
  repeat,
  set,
  tee,
  v128,
  vectorLoop,
  type WasmFunction,
} from "./assembler.ts";
import { reaches } from "./plain-quantization.ts";

const P = i32.type;
const V = v128.type;

const VECTOR_BYTES = 16;
/** Vectors per loop iteration. With more, V8 orders the operations so that sums spill from registers. */
const SHORT_TURN = 2;
/** Where packed bytes are stored: the smallest block, of 32 elements. */
const LONG_TURN = 8;

/** Outside, float32 sums of squares lose digits or overflow. */
const [MIN_ENERGY, MAX_ENERGY] = [2 ** -100, 2 ** 100];

/** Added to an integer from 0 to 255, it leaves that in the lowest byte of the float32. */
const byteMaker = 2 ** 23;

type Lanes = readonly [number, number, number, number];

/**
 * (elements, values, scales, blocks, blockBytes, sums) -> how many blocks were skipped. All are addresses except the number of
 * blocks and the bytes of one as float32. The squares of elements and of errors are added to two float64 at `sums`, block by
 * block. A block with NaN, or with squares that float32 cannot sum, is skipped: its scale is NaN and it adds nothing.
 */
export function blockKernel(name: string, bits: BlockFormat["bits"]): WasmFunction {
  const middle = zeroPoint(bits);
  const locals = new Locals();
  const names = ["elements", "values", "scales", "blocks", "blockBytes", "sums"] as const;
  const { elements, values, scales, blocks, blockBytes, sums } = locals.named(P, ...names);
  const { offset, leftOut } = locals.named(P, "offset", "leftOut");
  const { energySum, errorSum } = locals.named(f64.type, "energySum", "errorSum");
  const { element, scratch, lowest, farthest } = locals.named(V, "element", "scratch", "lowest", "farthest");
  const { energy, error, candidate } = locals.named(V, "energy", "error", "candidate");
  const { inverse, scale, explained } = locals.named(V, "inverse", "scale", "explained");
  const { otherInverse, otherScale, otherExplained } = locals.named(V, "otherInverse", "otherScale", "otherExplained");
  const { isBetter } = locals.named(V, "isBetter");
  const evenSquares = locals.list(V, 2);
  const packed = locals.list(V, LONG_TURN);
  const products = locals.list(V, Math.min(4, reaches[bits].length));
  const squares = locals.list(V, products.length);

  const overBlock = (turn: number, body: (vector: number) => Code, afterTurn: Code = []): Code => {
    const load = (i: number): Code => [get(elements), get(offset), i32.add, v128.load(i * VECTOR_BYTES), set(element)];
    const vectors = Array.from({ length: turn }, (_, i) => [load(i), body(i)]);
    return [i32.const(0), set(offset), vectorLoop(offset, blockBytes, [vectors, afterTurn], turn * VECTOR_BYTES)];
  };
  const clear = (...targets: readonly number[]): Code => targets.map((target) => [v128.zero, set(target)]);
  const add = (product: Code, sum: number): Code => [product, get(sum), f32x4.add, set(sum)];
  const square = (value: Code): Code => [value, tee(scratch), get(scratch), f32x4.mul];
  /** Two alternating sums, so that additions do not wait for each other. */
  const addSquare = (value: Code, vector: number): Code => add(square(value), evenSquares[vector % 2]!);
  const takeSquares = (into: number): Code => [
    [get(evenSquares[0]!), get(evenSquares[1]!), f32x4.add, set(into)],
    acrossLanes(into, f32x4.add),
  ];
  const zeroWhereAllZeros: Code = [get(farthest), v128.zero, f32x4.ne, v128.and];

  const survey: Code = [
    clear(farthest, lowest, ...evenSquares),
    overBlock(SHORT_TURN, (i) => [
      [get(farthest), get(element), f32x4.quickMax, set(farthest)],
      [get(lowest), get(element), f32x4.quickMin, set(lowest)],
      addSquare(get(element), i),
    ]),
    [acrossLanes(farthest, f32x4.quickMax), acrossLanes(lowest, f32x4.quickMin)],
    [get(farthest), get(lowest), get(farthest), get(lowest), f32x4.neg, f32x4.gt, v128.select, set(farthest)],
    takeSquares(energy),
  ];

  /** element -> the nearest step, with the scale that places the largest element at `reach` of the range. */
  const toSteps = (inverse: number, reach: number): Code => [
    [get(element), get(inverse), f32x4.mul, f32x4.nearest],
    reach * middle < middle - 0.5 ? [] : [f32x4.const(...splat(middle - 1)), f32x4.quickMin],
    reach <= 1 ? [] : [f32x4.const(...splat(-middle)), f32x4.quickMax],
  ];

  /** For up to four candidates, one per lane: 1/scale, the scale fitted by least squares, and the sum of squares it explains. */
  const fitTo = (own: readonly number[], inverse: number, scale: number, explained: number): Code => [
    [f32x4.const(...lanesOf(own.map((reach) => -middle * reach))), get(farthest), f32x4.div],
    [zeroWhereAllZeros, set(inverse)],
    own.map((reach, i) => [
      [get(inverse), get(inverse), f32x4.shuffle(...splat(i)), set(candidate)],
      clear(products[i]!, squares[i]!),
      overBlock(SHORT_TURN, () => [
        [toSteps(candidate, reach), tee(scratch)],
        add([get(element), f32x4.mul], products[i]!),
        add([get(scratch), get(scratch), f32x4.mul], squares[i]!),
      ]),
    ]),
    [sumEach(lanesOf(products), scratch, element), tee(explained)],
    [sumEach(lanesOf(squares), scratch, element), f32x4.div, tee(scale)],
    [get(explained), f32x4.mul, set(explained)],
  ];
  const pairs = [
    [inverse, otherInverse],
    [scale, otherScale],
    [explained, otherExplained],
  ] as const;
  const takeBetter: Code = [
    [get(otherExplained), get(explained), f32x4.gt, set(isBetter)],
    pairs.map(([own, other]) => [get(other), get(own), get(isBetter), v128.select, set(own)]),
  ];
  const compareLanes = (lanes: Lanes): Code => [
    pairs.map(([own, other]) => [get(own), get(own), f32x4.shuffle(...lanes), set(other)]),
    takeBetter,
  ];
  const hasSeveral = reaches[bits].length > 1;
  const search: Code = [
    fitTo(reaches[bits].slice(0, 4), inverse, scale, explained),
    hasSeveral ? [fitTo(reaches[bits].slice(4), otherInverse, otherScale, otherExplained), takeBetter] : [],
    hasSeveral ? [compareLanes([2, 3, 0, 1]), compareLanes([1, 0, 3, 2])] : [],
    [get(inverse), get(inverse), f32x4.shuffle(...splat(0)), set(inverse)],
    [get(scale), get(scale), f32x4.shuffle(...splat(0)), zeroWhereAllZeros, set(scale)],
  ];

  const sixteenBytes = (first: number): Code => [
    [get(packed[first]!), get(packed[first + 1]!), i16x8.narrowSigned],
    [get(packed[first + 2]!), get(packed[first + 3]!), i16x8.narrowSigned],
    i8x16.narrowUnsigned,
  ];
  /** Packs two numbers below 16 into a byte, in lanes of 16 bits. */
  const eightPairs = (first: number): Code => [
    [sixteenBytes(first), tee(scratch), get(scratch), i32.const(4), i16x8.shiftRight, v128.or],
    [i32x4.const(0x00ff00ff), v128.and],
  ];
  const store: Code =
    bits === 8
      ? [0, 4].map((first) => [get(values), sixteenBytes(first), v128.store(4 * first)])
      : [get(values), eightPairs(0), eightPairs(4), i8x16.narrowUnsigned, v128.store()];
  const round: Code = [
    clear(...evenSquares),
    overBlock(
      LONG_TURN,
      (i) => [
        [toSteps(inverse, Number.POSITIVE_INFINITY), tee(scratch)],
        [f32x4.const(...splat(byteMaker + middle)), f32x4.add, i32x4.const(0xff), v128.and, set(packed[i]!)],
        addSquare([get(element), get(scratch), get(scale), f32x4.mul, f32x4.sub], i),
      ],
      [store, get(values), i32.const(4 * bits), i32.add, set(values)],
    ),
    takeSquares(error),
  ];

  const first = (vector: number): Code => [get(vector), f32x4.extract(0)];
  const isSound: Code = [
    [first(energy), f32.const(MIN_ENERGY), f32.ge, first(energy), f32.const(MAX_ENERGY), f32.le, i32.and],
    [first(energy), f32.const(0), f32.eq, first(farthest), f32.const(0), f32.eq, i32.and, i32.or],
  ];
  const keep: Code = [
    [get(scales), first(scale), f32.store()],
    [get(energySum), first(energy), f64.promote, f64.add, set(energySum)],
    [get(errorSum), first(error), f64.promote, f64.add, set(errorSum)],
  ];
  const leaveOut: Code = [
    [get(scales), f32.const(Number.NaN), f32.store()],
    [get(leftOut), i32.const(1), i32.add, set(leftOut)],
  ];
  const block: Code = [
    [survey, search, round],
    [isSound, either(keep, leaveOut)],
    [get(elements), get(blockBytes), i32.add, set(elements)],
    [get(scales), i32.const(4), i32.add, set(scales)],
  ];
  return {
    name,
    ...locals.types(names.length),
    result: P,
    body: [
      [get(sums), f64.load(0), set(energySum), get(sums), f64.load(8), set(errorSum)],
      repeat(block, [get(blocks), i32.const(-1), i32.add, tee(blocks)]),
      [get(sums), get(energySum), f64.store(0), get(sums), get(errorSum), f64.store(8)],
      get(leftOut),
    ],
  };
}

function splat(value: number): Lanes {
  return [value, value, value, value];
}

/** Four values, or one repeated. */
function lanesOf(values: readonly number[]): Lanes {
  return [0, 1, 2, 3].map((lane) => values[lane % values.length]!) as unknown as Lanes; // four by construction
}

/** Reduces the four lanes of a local into each of them. */
function acrossLanes(vector: number, combine: Code): Code {
  const withSwapped = (...lanes: Lanes): Code => [
    [get(vector), get(vector), get(vector), f32x4.shuffle(...lanes)],
    [combine, set(vector)],
  ];
  return [withSwapped(2, 3, 0, 1), withSwapped(1, 0, 3, 2)];
}

/** The sums of four locals, one per lane, using two more. */
function sumEach([a, b, c, d]: Lanes, left: number, right: number): Code {
  const both = (x: number, y: number, low: Lanes, high: Lanes): Code => [
    [get(x), get(y), f32x4.shuffle(...low)],
    [get(x), get(y), f32x4.shuffle(...high), f32x4.add],
  ];
  return [
    [both(a, b, [0, 4, 1, 5], [2, 6, 3, 7]), set(left)],
    [both(c, d, [0, 4, 1, 5], [2, 6, 3, 7]), set(right)],
    both(left, right, [0, 1, 4, 5], [2, 3, 6, 7]),
  ];
}
