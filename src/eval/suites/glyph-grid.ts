// glyph-grid: reads lines of random symbols that fill the image, one or four per position, black or coloured. The bits per position
// are known, and so is the limit for codes of the model's size: the ceiling, printed beside the floor.

import { ModelError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { counterRandom } from "../../random/counter.ts";
import {
  askGlyphLine,
  drawGlyphGrid,
  type GlyphLayout,
  glyphCeiling,
  glyphKinds,
  glyphLevels,
  sampleGlyphGrid,
  scoreGlyphLine,
} from "../../train/data/glyph-grid.ts";
import { blankImage } from "../../train/data/shapes.ts";
import type { EvalModel } from "../eval-model.ts";
import { type Measure, meanShareOf } from "../measure.ts";
import { itemCount, MOST_SAMPLES, type Sample, type Suite, spread } from "../suite.ts";

const GRIDS = 200;
/** Not used in training. */
export const GRID_SEED = 900_917;
/** Tokens for a line of twelve symbols with colours. */
const MOST_TOKENS = 96;

export const glyphGrid: Suite = {
  about: "reads random symbols that fill the image: the capacity of codes",
  async run(context) {
    const n = itemCount(context, GRIDS);
    const layout = await findLayout(context.model);
    const bits = context.model.codebooks * Math.log2(context.model.codesPerBook);
    const measures: Record<string, Measure> = {};
    const samples: Sample[] = [];
    for (const [k, level] of glyphLevels.entries()) {
      const shares: number[] = [];
      for (let index = 0; index < n; index++) {
        context.step(`glyph-grid: level ${level}`, k * n + index, glyphLevels.length * n);
        const random = counterRandom(GRID_SEED + context.seed, `level ${level}`).fork(index);
        const grid = sampleGlyphGrid(level, random.fork("grid"), layout);
        const line = random.fork("line").integer(0, grid.columns);
        const { question, answer: right } = askGlyphLine(grid, line);
        const image = drawGlyphGrid(grid);
        const answer = await context.model.ask(image, question, MOST_TOKENS);
        shares.push(scoreGlyphLine(answer, grid, line));
        samples.push({
          images: [{ label: question, image }],
          text: `${answer} (${right})`,
          isRight: shares.at(-1) === 1,
        });
      }
      const floors = { questionAlone: 1 / glyphKinds(level), ceiling: glyphCeiling(level, bits) };
      measures[`level${level}`] = meanShareOf(shares, floors);
    }
    return { measures, details: [], samples: spread(samples, MOST_SAMPLES) };
  },
};

/** Grids and pixels per position to try, kelix-nano's first. */
const LAYOUTS: readonly GlyphLayout[] = [16, 28, 32].flatMap((position) =>
  [6, 5, 4, 7, 8, 10, 12, 16].map((positions) => ({ positions, position })),
);

/** A square image that the model reads unscaled, with aligned positions. */
async function findLayout(model: EvalModel): Promise<GlyphLayout> {
  for (const layout of LAYOUTS) {
    const image: RgbImage = blankImage(layout.positions * layout.position, [255, 255, 255]);
    const { grid } = await model.tokenize(image);
    if (grid[0] === layout.positions && grid[1] === layout.positions) return layout;
  }
  throw new ModelError(
    "glyph-grid: the model's positions are not squares of 16, 28 or 32 pixels, so symbols cannot be aligned with them",
    { code: "unsupported_model" },
  );
}
