// A tiny assembler for WebAssembly SIMD loops over vectors in one memory, with only what the kernels here need.
// Opcodes are those of the WebAssembly 2.0 specification (SIMD instructions carry the prefix 0xFD).

export type Code = readonly (number | Code)[];

const simd = (opcode: number): Code => [0xfd, ...unsigned(opcode)];

export const i32 = {
  type: 0x7f,
  const: (n: number): Code => [0x41, ...signed(n)],
  add: [0x6a] as Code,
  and: [0x71] as Code,
  or: [0x72] as Code,
  ltU: [0x49] as Code,
};
export const f32 = {
  type: 0x7d,
  const: (n: number): Code => [0x43, ...floatBytes([n])],
  store: (offset = 0): Code => [0x38, 0x02, ...unsigned(offset)],
  eq: [0x5b] as Code,
  le: [0x5f] as Code,
  ge: [0x60] as Code,
};
export const f64 = {
  type: 0x7c,
  load: (offset = 0): Code => [0x2b, 0x03, ...unsigned(offset)],
  store: (offset = 0): Code => [0x39, 0x03, ...unsigned(offset)],
  add: [0xa0] as Code,
  promote: [0xbb] as Code,
};
export const v128 = {
  type: 0x7b,
  load: (offset = 0): Code => [simd(0x00), 0x04, ...unsigned(offset)],
  store: (offset = 0): Code => [simd(0x0b), 0x04, ...unsigned(offset)],
  zero: [simd(0x0c), ...new Array<number>(16).fill(0)] as Code,
  and: simd(0x4e),
  or: simd(0x50),
  /** Bits of the first operand where the third has ones, else of the second. */
  select: simd(0x52),
};
export const i16x8 = {
  /** Saturates; the first operand's lanes come first. */
  narrowSigned: simd(0x85),
  narrowUnsigned: simd(0x86),
  shiftRight: simd(0x8d),
};
export const i8x16 = { narrowUnsigned: simd(0x66) };
export const i32x4 = {
  /** Broadcasts a number to every lane. */
  const: (n: number): Code => [simd(0x0c), ...new Uint8Array(Int32Array.of(n, n, n, n).buffer)],
  /** The four low (high) unsigned 16-bit lanes widened. */
  extendLow: simd(0xa9),
  extendHigh: simd(0xaa),
  shiftLeft: simd(0xab),
  shiftRight: simd(0xad),
  add: simd(0xae),
};
export const f32x4 = {
  const: (...lanes: readonly [number, number, number, number]): Code => [simd(0x0c), ...floatBytes(lanes)],
  splat: simd(0x13),
  extract: (lane: 0 | 1 | 2 | 3): Code => [simd(0x1f), lane],
  /** Lanes of the two operands: 0 to 3 of the first, 4 to 7 of the second. */
  shuffle: (...lanes: readonly [number, number, number, number]): Code => [
    simd(0x0d),
    ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
  ],
  sqrt: simd(0xe3),
  add: simd(0xe4),
  sub: simd(0xe5),
  mul: simd(0xe6),
  div: simd(0xe7),
  min: simd(0xe8),
  max: simd(0xe9),
  /** Like min and max, but without handling NaN and -0, which takes several machine instructions. */
  quickMin: simd(0xea),
  quickMax: simd(0xeb),
  neg: simd(0xe1),
  /** Rounds to integers, ties to even. */
  nearest: simd(0x6a),
  ne: simd(0x42),
  gt: simd(0x44),
};
export const f64x2 = {
  add: simd(0xf0),
  mul: simd(0xf2),
  /** The two low lanes widened. */
  promoteLow: simd(0x5f),
  extract: (lane: 0 | 1): Code => [simd(0x21), lane],
};
/** Moves the high 8 bytes of the vector on the stack to the low half (both operands are the same vector). */
export const highHalf: Code = [simd(0x0d), 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31];

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number): Code => [0x21, ...unsigned(local)];
/** Sets a local and leaves the value on the stack. */
export const tee = (local: number): Code => [0x22, ...unsigned(local)];

/** Runs one of two bodies depending on the number on the stack. */
export function either(then: Code, otherwise: Code): Code {
  return [0x04, 0x40, then, 0x05, otherwise, 0x0b];
}

/** Numbers the parameters and then the locals of a function, in the given order. */
export class Locals {
  readonly #types: number[] = [];

  named<Name extends string>(type: number, ...names: readonly Name[]): Record<Name, number> {
    const numbers = names.map((name) => [name, this.#types.push(type) - 1]);
    return Object.fromEntries(numbers) as Record<Name, number>; // an entry for each name
  }

  list(type: number, count: number): number[] {
    return Array.from({ length: count }, () => this.#types.push(type) - 1);
  }

  /** The types of all locals; the first `count` are parameters. */
  types(count: number): Pick<WasmFunction, "parameters" | "locals"> {
    return { parameters: this.#types.slice(0, count), locals: this.#types.slice(count) };
  }
}

export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly result?: number;
  readonly locals: readonly number[];
  readonly body: Code;
}

/** Runs `body` and repeats it while `condition` leaves a nonzero number. */
export function repeat(body: Code, condition: Code): Code {
  return [0x03, 0x40, body, condition, 0x0d, 0x00, 0x0b];
}

/**
 * Runs `body` for offset = 0, step, .. below the byte count in local `bytes` (a positive multiple of step);
 * the local `offset` starts at 0.
 */
export function vectorLoop(offset: number, bytes: number, body: Code, step = 16): Code {
  return repeat([body, get(offset), i32.const(step), i32.add, set(offset)], [get(offset), get(bytes), i32.ltU]);
}

/** A module that imports one memory as env.memory and exports the functions. */
export function assemble(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map((f) => [
    0x60,
    vector(f.parameters.map((t) => [t])),
    vector(f.result === undefined ? [] : [[f.result]]),
  ]);
  const bodies = functions.map((f) => {
    const code = flatten([vector(f.locals.map((type) => [1, type])), f.body, 0x0b]);
    return [...unsigned(code.length), ...code];
  });
  const memory = [name("env"), name("memory"), 0x02, 0x00, 0x01];
  const sections: [number, Code][] = [
    [1, vector(types)],
    [2, vector([memory])],
    [3, vector(functions.map((_, i) => unsigned(i)))],
    [7, vector(functions.map((f, i) => [name(f.name), 0x00, ...unsigned(i)]))],
    [10, vector(bodies)],
  ];
  const bytes = sections.flatMap(([id, content]) => {
    const flat = flatten(content);
    return [id, ...unsigned(flat.length), ...flat];
  });
  return Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, ...bytes]);
}

function vector(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items];
}

function name(text: string): Code {
  return vector([...new TextEncoder().encode(text)].map((byte) => [byte]));
}

function floatBytes(values: readonly number[]): number[] {
  return [...new Uint8Array(Float32Array.from(values).buffer)];
}

function flatten(code: Code): number[] {
  return code.flatMap((item) => (typeof item === "number" ? [item] : flatten(item)));
}

function unsigned(n: number): number[] {
  const out: number[] = [];
  for (let rest = n; ; ) {
    const low = rest & 0x7f;
    rest >>>= 7;
    if (rest === 0) return [...out, low];
    out.push(low | 0x80);
  }
}

function signed(n: number): number[] {
  const out: number[] = [];
  for (let rest = n; ; ) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40)) return [...out, low];
    out.push(low | 0x80);
  }
}
