import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import {
  askGlyphLine,
  drawGlyphGrid,
  glyphBits,
  glyphCeiling,
  glyphLevels,
  glyphSymbols,
  hasInk,
  sampleGlyphGrid,
  scoreGlyphLine,
} from "./glyph-grid.ts";
import { colours, colourValues } from "./scenes.ts";

const pixels = (symbol: (typeof glyphSymbols)[number]) =>
  Array.from({ length: 35 }, (_, i) => hasInk(symbol, i % 5, Math.floor(i / 5)));

describe("glyph grids", () => {
  test("any two of the 36 symbols differ in at least three pixels", () => {
    expect(glyphSymbols).toHaveLength(36);
    for (const [i, a] of glyphSymbols.entries()) {
      for (const b of glyphSymbols.slice(i + 1)) {
        const [first, second] = [pixels(a), pixels(b)];
        expect(first.filter((ink, at) => ink !== second[at]).length, `${a} and ${b}`).toBeGreaterThanOrEqual(3);
      }
    }
  });

  test.each(glyphLevels)("level %i is read back from its pixels", (level) => {
    const grid = sampleGlyphGrid(level, counterRandom(5, "grid").fork(level));
    const { width, height, data } = drawGlyphGrid(grid);
    expect([width, height]).toEqual([96, 96]);
    const scale = grid.cell / 8;
    const [left, top] = [Math.floor((grid.cell - 5 * scale) / 2), Math.floor((grid.cell - 7 * scale) / 2)];
    grid.cells.forEach((cell, at) => {
      const [x0, y0] = [(at % grid.columns) * grid.cell + left, Math.floor(at / grid.columns) * grid.cell + top];
      const rgbAt = (i: number) => {
        const pixel = (y0 + Math.floor(i / 5) * scale) * width + x0 + (i % 5) * scale;
        return [...data.subarray(3 * pixel, 3 * pixel + 3)];
      };
      const ink = Array.from({ length: 35 }, (_, i) => rgbAt(i).some((value) => value < 255));
      expect(glyphSymbols.filter((symbol) => pixels(symbol).every((on, i) => on === ink[i]))).toEqual([cell.symbol]);
      const rgb = rgbAt(ink.indexOf(true));
      expect(colours.find((colour) => colourValues[colour].every((value, i) => value === rgb[i]))).toBe(cell.colour);
    });
  });

  test("glyphs fill the cells of other position sizes", () => {
    const grid = sampleGlyphGrid(3, counterRandom(5, "grid"), { positions: 4, position: 32 });
    expect(drawGlyphGrid(grid)).toMatchObject({ width: 128, height: 128 });
    expect(grid.columns).toBe(8);
  });

  test("all symbols and colours occur about equally often", () => {
    const cells = Array.from(
      { length: 40 },
      (_, i) => sampleGlyphGrid(4, counterRandom(1, "grid").fork(i)).cells,
    ).flat();
    for (const symbol of glyphSymbols) {
      expect(cells.filter((cell) => cell.symbol === symbol).length / cells.length).toBeCloseTo(1 / 36, 2);
    }
    for (const colour of colours) {
      expect(cells.filter((cell) => cell.colour === colour).length / cells.length).toBeCloseTo(1 / 7, 1);
    }
  });

  test("a line's own answer scores 1, one wrong colour costs one symbol", () => {
    const grid = sampleGlyphGrid(2, counterRandom(5, "grid"));
    const { question, answer } = askGlyphLine(grid, 2);
    expect(question).toBe("Read line 3.");
    expect(scoreGlyphLine(answer, grid, 2)).toBe(1);
    expect(scoreGlyphLine(answer, grid, 3)).toBeLessThan(0.5);
    const words = answer.split(" ");
    words[0] = words[0] === "red" ? "blue" : "red";
    expect(scoreGlyphLine(words.join(" "), grid, 2)).toBeCloseTo(5 / 6);
    expect(scoreGlyphLine("", grid, 2)).toBe(0);
  });

  // Numbers of the protocol: at 11 bits a position 70 % and 47 %, at 20 bits 98.7 % and 73 %.
  test("ceilings follow the rate-distortion bound of a uniform source", () => {
    expect(glyphLevels.map((level) => glyphBits(level).toFixed(1))).toEqual(["5.2", "8.0", "20.7", "31.9"]);
    expect(glyphCeiling(1, 11)).toBe(1);
    expect(glyphCeiling(2, 11)).toBe(1);
    expect(glyphCeiling(3, 11)).toBeCloseTo(0.7, 2);
    expect(glyphCeiling(4, 11)).toBeCloseTo(0.47, 2);
    expect(glyphCeiling(3, 20)).toBeCloseTo(0.987, 3);
    expect(glyphCeiling(4, 20)).toBeCloseTo(0.73, 2);
    expect(glyphCeiling(3, 36)).toBe(1);
    expect(glyphCeiling(4, 0)).toBeCloseTo(1 / 252, 4);
  });
});
