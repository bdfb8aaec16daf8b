// Images full of random symbols, aligned to the image tokenizer's positions, so that the bits per position are known:
// level 1 has one black symbol per position, level 2 a coloured one, levels 3 and 4 have four. The question is "Read line 3."

import type { RgbImage } from "../../image/rgb.ts";
import type { CounterRandom } from "../../random/counter.ts";
import type { Turn } from "./scene-text.ts";
import { type Colour, colours, colourValues } from "./scenes.ts";
import { blankImage } from "./shapes.ts";

export const glyphLevels = [1, 2, 3, 4] as const;
export type GlyphLevel = (typeof glyphLevels)[number];

/** 5 x 7 pixels each: a row is two hexadecimal digits, with the highest of five bits on the left. */
const glyphs = {
  A: "0e11111f111111",
  B: "1e11111e11111e",
  C: "0e11101010110e",
  D: "1c12111111121c",
  E: "1f10101e10101f",
  F: "1f10101e101010",
  G: "0e11101711110f",
  H: "1111111f111111",
  I: "0e04040404040e",
  J: "0702020202120c",
  K: "11121418141211",
  L: "1010101010101f",
  M: "111b1515111111",
  N: "11111915131111",
  O: "0e11111111110e",
  P: "1e11111e101010",
  Q: "0e11111115120d",
  R: "1e11111e141211",
  S: "0f10100e01011e",
  T: "1f040404040404",
  U: "1111111111110e",
  V: "11111111110a04",
  W: "1111111515150a",
  X: "11110a040a1111",
  Y: "11110a04040404",
  Z: "1f01020408101f",
  "0": "0e11131519110e",
  "1": "040c140404041f",
  "2": "0e11010204081f",
  "3": "1f02040201110e",
  "4": "02060a121f0202",
  "5": "1f101e0101110e",
  "6": "0608101e11110e",
  "7": "1f010204080808",
  "8": "0e11110e11110e",
  "9": "0e11110f01020c",
} as const;
type Glyph = keyof typeof glyphs;
export const glyphSymbols = (Object.keys(glyphs) as Glyph[]).sort();

const GLYPH_WIDTH = 5;
const GLYPH_HEIGHT = 7;
/** Pixels along a side of the square for a glyph with its margin. */
const GLYPH_CELL = 8;
const PAPER = [255, 255, 255] as const;

export interface GlyphCell {
  readonly symbol: Glyph;
  readonly colour: Colour;
}

export interface GlyphGrid {
  readonly level: GlyphLevel;
  /** Symbols along a side, and pixels along a side of a symbol's cell. */
  readonly columns: number;
  readonly cell: number;
  /** [columns, columns], line by line. */
  readonly cells: readonly GlyphCell[];
}

export interface GlyphLayout {
  /** Positions along a side of the square image. */
  readonly positions: number;
  /** Pixels along a side of one position; a multiple of 16. */
  readonly position: number;
}

/** kelix-nano's: 96 pixels in 6 x 6 positions. */
const nanoLayout: GlyphLayout = { positions: 6, position: 16 };

/** Every symbol, and at levels 2 and 4 its colour, uniform and independent of the others. */
export function sampleGlyphGrid(
  level: GlyphLevel,
  random: CounterRandom,
  { positions, position }: GlyphLayout = nanoLayout,
): GlyphGrid {
  const perPosition = level <= 2 ? 1 : 2;
  const columns = positions * perPosition;
  const draw = random.sequence();
  const cells = Array.from({ length: columns * columns }, () => ({
    symbol: draw.pick(glyphSymbols),
    colour: isColoured(level) ? draw.pick(colours) : ("black" as const),
  }));
  return { level, columns, cell: position / perPosition, cells };
}

export function isColoured(level: GlyphLevel): boolean {
  return level === 2 || level === 4;
}

/** Draws the grid on white; glyphs are enlarged by integer factors. Throws if a cell is smaller than 8 pixels. */
export function drawGlyphGrid({ columns, cell, cells }: GlyphGrid): RgbImage {
  const scale = Math.floor(cell / GLYPH_CELL);
  if (scale < 1) throw new Error(`a glyph needs a cell of ${GLYPH_CELL} pixels, got ${cell}`);
  const image = blankImage(columns * cell, PAPER);
  const left = Math.floor((cell - GLYPH_WIDTH * scale) / 2);
  const top = Math.floor((cell - GLYPH_HEIGHT * scale) / 2);
  cells.forEach(({ symbol, colour }, at) => {
    const [x, y] = [(at % columns) * cell + left, Math.floor(at / columns) * cell + top];
    for (let row = 0; row < GLYPH_HEIGHT * scale; row++) {
      for (let column = 0; column < GLYPH_WIDTH * scale; column++) {
        if (!hasInk(symbol, Math.floor(column / scale), Math.floor(row / scale))) continue;
        image.data.set(colourValues[colour], ((y + row) * image.width + x + column) * 3);
      }
    }
  });
  return image;
}

export function hasInk(symbol: Glyph, column: number, row: number): boolean {
  const bits = Number.parseInt(glyphs[symbol].slice(2 * row, 2 * row + 2), 16);
  return ((bits >> (GLYPH_WIDTH - 1 - column)) & 1) === 1;
}

/** The question about a line, counted from 0: "Read line 3." -> "A 7 Q K 0 Z", at levels 2 and 4 "red A blue 7 ..". */
export function askGlyphLine({ level, columns, cells }: GlyphGrid, line: number): Turn {
  const symbols = cells.slice(line * columns, (line + 1) * columns);
  const answer = symbols.map(({ symbol, colour }) => (isColoured(level) ? `${colour} ${symbol}` : symbol)).join(" ");
  return { question: `Read line ${line + 1}.`, answer };
}

/** The share of a line's symbols that an answer has in the right place, with the right colour if there are colours. */
export function scoreGlyphLine(answer: string, { columns, level, cells }: GlyphGrid, line: number): number {
  const words = answer.trim().split(/\s+/);
  const right = cells.slice(line * columns, (line + 1) * columns).filter(({ symbol, colour }, i) => {
    if (!isColoured(level)) return words[i] === symbol;
    return words[2 * i] === colour && words[2 * i + 1] === symbol;
  });
  return right.length / columns;
}

/** How many distinct symbols a level has, colours included. */
export function glyphKinds(level: GlyphLevel): number {
  return glyphSymbols.length * (isColoured(level) ? colours.length : 1);
}

/** Bits per position at this level. */
export function glyphBits(level: GlyphLevel): number {
  return Math.log2(glyphKinds(level)) * symbolsPerPosition(level);
}

export function symbolsPerPosition(level: GlyphLevel): number {
  return level <= 2 ? 1 : 4;
}

/**
 * The highest share of symbols that can be read correctly from `bits` bits per position: the rate-distortion bound of a
 * uniform source under Hamming distortion, R(D) = log2 M - H(D) - D log2(M - 1) (Cover and Thomas, "Elements of Information
 * Theory", problem 10.5).
 */
export function glyphCeiling(level: GlyphLevel, bits: number): number {
  const kinds = glyphKinds(level);
  const rate = bits / symbolsPerPosition(level);
  if (rate >= Math.log2(kinds)) return 1;
  const entropy = (p: number) => (p <= 0 || p >= 1 ? 0 : -p * Math.log2(p) - (1 - p) * Math.log2(1 - p));
  const rateAt = (wrong: number) => Math.log2(kinds) - entropy(wrong) - wrong * Math.log2(kinds - 1);
  let [low, high] = [0, 1 - 1 / kinds]; // the rate falls from log2 M to 0
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (rateAt(middle) > rate) low = middle;
    else high = middle;
  }
  return 1 - (low + high) / 2;
}
