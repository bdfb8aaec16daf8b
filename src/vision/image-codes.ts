// The codes of an image: what the tokenizer makes, and what callers hand in. These may have been through JSON, may stand in any
// array of integers, and may come from strangers: they are checked against the model before any work.

import { InputError, quote } from "../errors.ts";
import type { Preparation } from "../image/processor.ts";
import { bytesOf, kindOf } from "../runtime/realm.ts";
import { packCodes, unpackCodes } from "./code-bytes.ts";
import { bookSize, type TokenizerConfig } from "./config.ts";

export interface CodeFields {
  /** Rows and columns of positions. */
  readonly grid: readonly [rows: number, columns: number];
  /** [P, N]: N codes for each position, in raster order; code i is an entry of codebook i. */
  readonly codes: Uint16Array;
  /** Size of the image that the codes were made from, in pixels. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/** An image as codes. `JSON.stringify` writes them as plain lists, which every call takes back; `toBytes` takes less room. */
export class ImageCodes implements CodeFields {
  readonly grid: readonly [rows: number, columns: number];
  readonly codes: Uint16Array;
  readonly width: number | undefined;
  readonly height: number | undefined;

  constructor({ grid, codes, width, height }: CodeFields) {
    this.grid = grid;
    this.codes = codes;
    this.width = width;
    this.height = height;
  }

  /**
   * Codes from what `toBytes` gave, from JSON text, or from the parsed object. Throws an InputError for anything else; whether they are
   * codes of a model is checked where they are used.
   */
  static from(input: ArrayBufferView | ArrayBufferLike | string | CodesInput): ImageCodes {
    if (typeof input === "string") return readAnyCodes(parseJson(input));
    const bytes = bytesOf(input);
    return bytes ? new ImageCodes(unpackCodes(bytes)) : readAnyCodes(input);
  }

  /** A few hundred bytes, in the form that code-bytes.ts describes. */
  toBytes(): Uint8Array {
    return packCodes(this);
  }

  toJSON(): Omit<CodeFields, "codes"> & { readonly codes: readonly number[] } {
    return { ...this, codes: [...this.codes] };
  }
}

/** Codes as a caller may give them: the fields of ImageCodes, with the codes in any array of integers. */
export interface CodesInput {
  readonly grid: ArrayLike<number>;
  readonly codes: ArrayLike<number | bigint>;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/** Whether an input means codes rather than an image; `readCodes` tells whether they are any. */
export function isCodesInput(input: unknown): input is CodesInput {
  return typeof input === "object" && input !== null && "codes" in input && "grid" in input;
}

/** What codes of a model can be. */
export interface CodeLimits {
  readonly codesPerPosition: number;
  readonly codesPerBook: number;
  readonly maxPositions: number;
}

/**
 * Grids may have so many times the positions of the largest square image: long strips have twice as many, and codes
 * come from strangers too.
 */
const STRIP_FACTOR = 4;

export function codeLimits(config: TokenizerConfig, { patchSize, mergeSize, maxPixels }: Preparation): CodeLimits {
  const positionPixels = (patchSize * mergeSize) ** 2;
  return {
    codesPerPosition: config.n_q_tokens,
    codesPerBook: bookSize(config),
    maxPositions: STRIP_FACTOR * Math.ceil(maxPixels / positionPixels),
  };
}

/** Codes of a caller. Throws an InputError unless they fill their grid and lie inside their books. */
export function readCodes(input: CodesInput, limits: CodeLimits): ImageCodes {
  const { codesPerPosition: N, codesPerBook, maxPositions } = limits;
  const grid = readGrid(input.grid, maxPositions);
  const [rows, columns] = grid;
  const given = asList(input.codes);
  if (!given) throw refuse(`Expected codes in a list or a typed array, got ${quote(input.codes)}`);
  if (given.length !== rows * columns * N) {
    throw refuse(`Expected ${rows} x ${columns} positions of ${N} codes, got ${given.length} codes`);
  }
  const codes = new Uint16Array(given.length);
  for (let i = 0; i < codes.length; i++) {
    const value = given[i];
    const code = typeof value === "bigint" ? Number(value) : value;
    if (!(typeof code === "number" && Number.isInteger(code) && code >= 0 && code < codesPerBook)) {
      const place = `position ${Math.floor(i / N)}, book ${i % N}`;
      throw refuse(`Expected codes from 0 to ${codesPerBook - 1}, got ${quote(value)} at ${place}`);
    }
    codes[i] = code;
  }
  return new ImageCodes({ grid, codes, width: readSide(input, "width"), height: readSide(input, "height") });
}

/** Codes that are well formed, of whatever model. */
function readAnyCodes(input: unknown): ImageCodes {
  if (!isCodesInput(input)) throw refuse(`Expected codes as { grid, codes }, as bytes or as JSON, got ${quote(input)}`);
  const [rows, columns] = readGrid(input.grid, MAX_POSITIONS);
  const N = (asList(input.codes)?.length ?? 0) / (rows * columns);
  return readCodes(input, {
    codesPerPosition: Math.min(Math.max(1, Math.ceil(N)), MAX_BOOKS),
    codesPerBook: 2 ** 16,
    maxPositions: MAX_POSITIONS,
  });
}

/** No model has more, and files come from strangers. */
const MAX_POSITIONS = 65_536;
const MAX_BOOKS = 255;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refuse(message: string): InputError {
  return new InputError(message, { code: "invalid_codes" });
}

function readGrid(grid: unknown, maxPositions: number): readonly [rows: number, columns: number] {
  const sides = asList(grid);
  const isSide = (n: unknown): n is number => typeof n === "number" && Number.isInteger(n) && n >= 1;
  const [rows, columns] = [sides?.[0], sides?.[1]];
  if (sides?.length === 2 && isSide(rows) && isSide(columns) && rows * columns <= maxPositions) return [rows, columns];
  throw refuse(`Expected a grid of at most ${maxPositions} positions as [rows, columns], got ${quote(grid)}`);
}

/** A list or typed array, also one that went through JSON as {"0": 167, "1": 20, ...}; undefined for anything else. */
function asList(value: unknown): ArrayLike<unknown> | undefined {
  if (Array.isArray(value)) return value;
  if (ArrayBuffer.isView(value)) return kindOf(value) === "DataView" ? undefined : (value as unknown as unknown[]);
  if (typeof value !== "object" || value === null) return undefined;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key, i) => key === `${i}`) ? Object.values(value) : undefined;
}

function readSide(input: CodesInput, name: "width" | "height"): number | undefined {
  const side = input[name] ?? undefined;
  if (side === undefined || (Number.isInteger(side) && side >= 1)) return side;
  throw refuse(`Expected the \`${name}\` of codes in pixels, got ${quote(side)}`);
}
