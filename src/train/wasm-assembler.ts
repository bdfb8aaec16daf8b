// A tiny assembler for WebAssembly SIMD loops over float32 vectors: just what the optimizer's kernels need.
// Opcodes are those of the WebAssembly 2.0 specification (SIMD instructions carry the prefix 0xFD).

export type Code = readonly (number | Code)[];

const simd = (opcode: number): Code => [0xfd, ...unsigned(opcode)];

export const i32 = {
  type: 0x7f,
  const: (n: number): Code => [0x41, ...signed(n)],
  add: [0x6a] as Code,
  ltU: [0x49] as Code,
};
export const f32 = {
  type: 0x7d,
};
export const f64 = { type: 0x7c, add: [0xa0] as Code };
export const v128 = {
  type: 0x7b,
  load: (offset = 0): Code => [simd(0x00), 0x04, ...unsigned(offset)],
  store: (offset = 0): Code => [simd(0x0b), 0x04, ...unsigned(offset)],
  zero: [simd(0x0c), ...new Array<number>(16).fill(0)] as Code,
};
export const f32x4 = {
  splat: simd(0x13),
  sqrt: simd(0xe3),
  add: simd(0xe4),
  sub: simd(0xe5),
  mul: simd(0xe6),
  div: simd(0xe7),
  min: simd(0xe8),
  max: simd(0xe9),
  neg: simd(0xe1),
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

export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly result?: number;
  readonly locals: readonly number[];
  readonly body: Code;
}

/**
 * Runs `body` for offset = 0, step, .. below the byte count in local `bytes` (a positive multiple of step);
 * the local `offset` starts at 0.
 */
export function vectorLoop(offset: number, bytes: number, body: Code, step = 16): Code {
  return [
    0x03,
    0x40,
    body,
    get(offset),
    i32.const(step),
    i32.add,
    set(offset),
    get(offset),
    get(bytes),
    i32.ltU,
    0x0d,
    0x00,
    0x0b,
  ];
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
