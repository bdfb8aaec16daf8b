import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { CELL, CHARACTERS, EM, type Font, heldOutFonts, ORIGIN } from "./fonts.ts";
import { drawLettering, type Lettering, letterGrid, letteringOf, sampleLettering } from "./lettering.ts";

/** Every letter is a full block of 32 x 48 above the baseline. */
const block = new Uint8Array(CELL * CELL);
for (let y = ORIGIN.y - 48; y < ORIGIN.y; y++) block.fill(255, y * CELL + ORIGIN.x, y * CELL + ORIGIN.x + 32);
const font = (name: string): Font => ({ name, glyph: () => block, advance: () => 40 });
const words = Array.from({ length: 400 }, (_, i) => i.toString(26).replace(/\d/g, (d) => "qrstuvwxyz"[Number(d)]!));
const source = { fonts: [font("plain"), font(heldOutFonts[0]!)], words };

describe("letteringOf", () => {
  test("training shares neither fonts nor words with the held-out splits", () => {
    const [train, heldOut] = [letteringOf(source, "train"), letteringOf(source, "heldOutStyle")];
    expect(train.fonts.map(({ name }) => name)).toEqual(["plain"]);
    expect(heldOut.fonts.map(({ name }) => name)).toEqual([heldOutFonts[0]]);
    expect(train.words.filter((word) => heldOut.words.includes(word))).toEqual([]);
    expect(train.words.length + heldOut.words.length).toBe(words.length);
    expect(heldOut.words.length / words.length).toBeCloseTo(0.1, 1);
  });
});

describe("sampleLettering", () => {
  test("writes only letters that the fonts have, inside the image", () => {
    for (let i = 0; i < 200; i++) {
      const { letters, lines } = sampleLettering(letteringOf(source, "train"), 96, counterRandom(1).fork(i));
      expect(letters.map(({ character }) => character).join("")).toBe(lines.join(""));
      for (const { character, x, y, advance } of letters) {
        expect(CHARACTERS).toContain(character);
        expect(x).toBeGreaterThanOrEqual(0);
        expect(x + advance).toBeLessThanOrEqual(96);
        expect(y).toBeLessThanOrEqual(96);
      }
    }
  });
});

const place = (letters: Lettering["letters"], size: number): Lettering => ({
  lines: [],
  isWord: false,
  font: font("plain"),
  size,
  letters,
  colour: "black",
  rgb: [0, 0, 0],
  background: [255, 255, 255],
});

describe("drawLettering", () => {
  test("puts down as much ink as the glyph has at that size, wherever it lies between pixels", () => {
    for (const [size, x] of [
      [16, 20],
      [20, 31.3],
      [13.7, 8.81],
    ] as const) {
      const { data } = drawLettering(place([{ character: "A", x, y: 60.4, advance: 9 }], size), 96);
      const ink = data.reduce((sum, value) => sum + (255 - value) / 255, 0) / 3;
      const wanted = 32 * 48 * (size / EM) ** 2;
      expect(Math.abs(ink - wanted) / wanted).toBeLessThan(0.02);
    }
  });
});

describe("letterGrid", () => {
  test("names the letter of a cell, and none where there are two or none", () => {
    const at = (character: string, x: number, y: number) => ({ character, x, y, advance: 6 });
    const grid = letterGrid(place([at("A", 0, 14), at("B", 34, 14), at("C", 40, 14), at("D", 90, 94)], 10), 96, 6);
    expect(grid[0]).toBe(CHARACTERS.indexOf("A"));
    expect(grid[2]).toBe(-1);
    expect(grid[35]).toBe(CHARACTERS.indexOf("D"));
    expect(grid.filter((letter) => letter >= 0)).toHaveLength(2);
  });
});
