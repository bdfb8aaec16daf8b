// Images of lettering: one to three lines of random letters or a word, with a typeface, colours and a place.
// An image is a function of (split, random); its text and its letters' positions come from the same layout.

import type { RgbImage } from "../../image/rgb.ts";
import type { CounterRandom } from "../../random/counter.ts";
import { counterRandom } from "../../random/counter.ts";
import { CELL, CHARACTERS, EM, type Font, heldOutFonts, ORIGIN } from "./fonts.ts";
import { type Colour, colours, colourValues } from "./scenes.ts";
import { blankImage, type Rgb } from "./shapes.ts";
import type { Split } from "./split.ts";

export interface PlacedLetter {
  readonly character: string;
  /** Of the origin, in pixels. */
  readonly x: number;
  readonly y: number;
  readonly advance: number;
}

export interface Lettering {
  readonly lines: readonly string[];
  readonly isWord: boolean;
  readonly font: Font;
  /** Pixels of an em. */
  readonly size: number;
  readonly letters: readonly PlacedLetter[];
  readonly colour: Colour | "white";
  readonly rgb: Rgb;
  readonly background: Rgb;
}

const LEAST_SIZE = 10;
const MOST_SIZE = 44;
/** Pixels of an image at whose sides no letter stands. */
export const MARGIN = 3;
const LINE_HEIGHT = 1.2;
const HELD_OUT_WORDS = 0.1;

export interface LetteringSource {
  readonly fonts: readonly Font[];
  /** Lower case, a to z. */
  readonly words: readonly string[];
}

/** The fonts and words of a split: training shares neither with the held-out splits. */
export function letteringOf({ fonts, words }: LetteringSource, split: Split): LetteringSource {
  const isHeldOut = split !== "train";
  return {
    fonts: fonts.filter(({ name }) => heldOutFonts.includes(name) === isHeldOut),
    words: words.filter((word) => counterRandom(3, "word").fork(word).uniform(0) < HELD_OUT_WORDS === isHeldOut),
  };
}

export function sampleLettering({ fonts, words }: LetteringSource, side: number, random: CounterRandom): Lettering {
  const draw = random.sequence();
  const font = draw.pick(fonts);
  const isWord = draw.uniform() < 0.5;
  const count = draw.uniform() < 0.75 ? 1 : 2 + draw.integer(2);
  const lines = Array.from({ length: count }, (_, i) =>
    isWord ? inCase(draw.pick(words), draw.uniform()) : randomLetters(random.fork("letters").fork(i)),
  );
  const widest = Math.max(...lines.map((line) => widthOf(line, font, 1)));
  const room = side - 2 * MARGIN;
  const most = Math.min(MOST_SIZE, room / widest, room / (LINE_HEIGHT * count));
  const size = Math.min(most, LEAST_SIZE) + draw.uniform() * Math.max(0, most - LEAST_SIZE);
  return { ...place(lines, font, size, side, draw), isWord, ...sampleInk(random.fork("ink")) };
}

export interface LetteringForm {
  /** Pixels of an em. */
  readonly size: number;
  /** A word of the source, or random letters and digits. */
  readonly isWord: boolean;
  /** Characters, at most. */
  readonly longest: number;
}

/** One line of a given size that fits, for evaluation. */
export function letteringOfSize(
  { fonts, words }: LetteringSource,
  { size, isWord, longest }: LetteringForm,
  side: number,
  random: CounterRandom,
): Lettering {
  const draw = random.sequence();
  const font = draw.pick(fonts);
  const fits = (line: string) => line.length <= longest && widthOf(line, font, size) <= side - 2 * MARGIN;
  let line: string;
  let tries = 0;
  do {
    if (++tries > 1000) throw new Error(`nothing of ${size} pixels fits into ${side}`);
    line = isWord ? inCase(draw.pick(words), draw.uniform()) : randomLetters(random.fork("letters").fork(tries));
  } while (!fits(line));
  return { ...place([line], font, size, side, draw), isWord, ...sampleInk(random.fork("ink")) };
}

type Draw = ReturnType<CounterRandom["sequence"]>;

/** Lays out lines somewhere in a square image. */
function place(
  lines: readonly string[],
  font: Font,
  size: number,
  side: number,
  draw: Draw,
): Pick<Lettering, "lines" | "font" | "size" | "letters"> {
  const room = side - 2 * MARGIN;
  const widest = Math.max(...lines.map((line) => widthOf(line, font, 1)));
  const left = MARGIN + draw.uniform() * (room - widest * size);
  const top = MARGIN + draw.uniform() * (room - lines.length * LINE_HEIGHT * size);
  const baseline = (i: number) => top + (i + 0.95) * LINE_HEIGHT * size - 0.2 * size;
  return { lines, font, size, letters: lines.flatMap((line, i) => layLine(line, font, size, left, baseline(i))) };
}

/** The letters of a line that begins at x on a baseline y. */
export function layLine(line: string, font: Font, size: number, left: number, y: number): PlacedLetter[] {
  let x = left;
  return [...line].map((character) => {
    const advance = (font.advance(character) * size) / EM;
    x += advance;
    return { character, x: x - advance, y, advance };
  });
}

/** Of a line, in pixels. */
export function widthOf(line: string, font: Font, size: number): number {
  return [...line].reduce((sum, character) => sum + (font.advance(character) * size) / EM, 0);
}

function inCase(word: string, uniform: number): string {
  if (uniform < 0.4) return word;
  return uniform < 0.7 ? word.toUpperCase() : word[0]!.toUpperCase() + word.slice(1);
}

function randomLetters(random: CounterRandom): string {
  const draw = random.sequence();
  const kind = draw.uniform();
  const from =
    kind < 0.4
      ? CHARACTERS.slice(0, 26)
      : kind < 0.6
        ? CHARACTERS.slice(26, 52)
        : kind < 0.75
          ? CHARACTERS.slice(52, 62)
          : CHARACTERS.slice(0, 62);
  return Array.from({ length: 1 + draw.integer(6) }, () => from[draw.integer(from.length)]!).join("");
}

/** Mostly dark letters on white or pale; sometimes white ones on a colour. */
function sampleInk(random: CounterRandom): Pick<Lettering, "colour" | "rgb" | "background"> {
  const draw = random.sequence();
  const colour = draw.uniform() < 0.4 ? "black" : draw.pick(colours);
  const jitter = (value: number) => Math.max(0, Math.min(255, value + draw.integer(21) - 10));
  const [red, green, blue] = colourValues[colour];
  const ink: Rgb = [jitter(red), jitter(green), jitter(blue)];
  const kind = draw.uniform();
  if (kind < 0.15 && colour !== "yellow") return { colour: "white", rgb: [255, 255, 255], background: ink };
  const pale = () => 226 + draw.integer(30);
  return { colour, rgb: ink, background: kind < 0.65 ? [255, 255, 255] : [pale(), pale(), pale()] };
}

export function drawLettering({ letters, font, size, rgb, background }: Lettering, side: number): RgbImage {
  const image = blankImage(side, background);
  for (const letter of letters) drawGlyph(image, font.glyph(letter.character), letter, size / EM, rgb);
  return image;
}

/** Each pixel gets the mean coverage of the part of the glyph's cell under it. */
function drawGlyph(image: RgbImage, glyph: Uint8Array, at: PlacedLetter, scale: number, rgb: Rgb): void {
  const { width: side, data } = image;
  const step = 1 / scale; // cell pixels under one pixel
  const [left, top] = [at.x - ORIGIN.x * scale, at.y - ORIGIN.y * scale];
  const last = (start: number) => Math.min(side - 1, Math.ceil(start + CELL * scale));
  for (let row = Math.max(0, Math.floor(top)); row <= last(top); row++) {
    const [y0, y1] = [Math.max(0, (row - top) * step), Math.min(CELL, (row + 1 - top) * step)];
    for (let column = Math.max(0, Math.floor(left)); column <= last(left); column++) {
      const [x0, x1] = [Math.max(0, (column - left) * step), Math.min(CELL, (column + 1 - left) * step)];
      let sum = 0;
      for (let y = Math.floor(y0); y < y1; y++) {
        const high = Math.min(y + 1, y1) - Math.max(y, y0);
        for (let x = Math.floor(x0); x < x1; x++) {
          const ink = glyph[y * CELL + x]!;
          if (ink) sum += ink * high * (Math.min(x + 1, x1) - Math.max(x, x0));
        }
      }
      if (sum === 0) continue;
      const share = Math.min(1, sum / (255 * step * step));
      const to = (row * side + column) * 3;
      for (let c = 0; c < 3; c++) {
        data[to + c] = Math.round(data[to + c]! * (1 - share) + rgb[c as 0 | 1 | 2] * share);
      }
    }
  }
}

/** For each cell of a grid over the image, the letter whose centre is in it, as an index into CHARACTERS; -1 for none or several. */
export function letterGrid({ letters, size }: Lettering, side: number, grid: number): Int32Array {
  const cells = new Int32Array(grid * grid).fill(-1);
  const counts = new Int32Array(grid * grid);
  const cell = side / grid;
  for (const { character, x, y, advance } of letters) {
    const at = Math.floor((y - 0.3 * size) / cell) * grid + Math.floor((x + advance / 2) / cell);
    cells[at] = CHARACTERS.indexOf(character);
    counts[at]!++;
  }
  return cells.map((letter, at) => (counts[at] === 1 ? letter : -1));
}
