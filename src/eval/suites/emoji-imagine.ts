// emoji-imagine: draws emoji of known concepts from their names. The judge names each drawing; `copied` is the share whose codes
// mostly match one training drawing, and so are recalled rather than invented.

import type { EvalModel } from "../eval-model.ts";
import { openTrainingDrawings, type TrainingDrawings } from "../floors/training-drawings.ts";
import { shareOf } from "../measure.ts";
import { itemCount, MOST_SAMPLES, percent, type Sample, type Suite, spread } from "../suite.ts";
import { knownConcepts, openJudge } from "./held-out.ts";

const PROMPTS = 200;
/** Share of an image's codes. */
const COPIED_SHARE = 0.7;
const TOP = 5;

export const emojiImagine: Suite = {
  about: "draws emoji from their names, recognised by the judge",
  async run(context) {
    const { model, cacheFolder } = context;
    const concepts = await knownConcepts();
    const prompts = spread(concepts, itemCount(context, PROMPTS));
    const drawings = await openTrainingDrawings(cacheFolder, "emoji-imagine");
    const judge = await openJudge(context, "emoji-imagine");
    const originals = await judge.rank(prompts.map(({ image }) => image));
    const known = new CodesOfDrawings(model, drawings);
    const items: { isRight: boolean; isAmongFive: boolean; shared: number }[] = [];
    const samples: Sample[] = [];
    const n = prompts.length * context.seeds;
    for (let i = 0; i < n; i++) {
      context.step("emoji-imagine", i, n);
      const { caption, hexcode } = prompts[i % prompts.length]!;
      const { image, codes } = await model.imagine(caption, context.seed + i);
      const [verdict] = await judge.rank([image]);
      const labels = verdict!.labels;
      const shared = await known.mostShared(codes.codes, new Set([hexcode, ...labels]));
      const item = { isRight: labels[0] === hexcode, isAmongFive: labels.slice(0, TOP).includes(hexcode), shared };
      items.push(item);
      const text = `nearest: ${verdict!.name}; ${percent(shared)} of its codes in one training drawing`;
      samples.push({ images: [{ label: caption, image }], text, isRight: item.isRight });
    }
    await judge.release();
    const count = new Set(concepts.map(({ hexcode }) => hexcode)).size;
    const share = (top: number) =>
      originals.filter(({ labels }, i) => labels.slice(0, top).includes(prompts[i]!.hexcode)).length / originals.length;
    const measures = {
      judge: shareOf(
        items.map(({ isRight }) => isRight),
        { originals: share(1), chance: 1 / count },
      ),
      top5: shareOf(
        items.map(({ isAmongFive }) => isAmongFive),
        { originals: share(TOP), chance: TOP / count },
      ),
      copied: shareOf(items.map(({ shared }) => shared >= COPIED_SHARE)),
    };
    const mean = items.reduce((sum, { shared }) => sum + shared, 0) / items.length;
    const details = [{ name: "codes shared with one training drawing", text: `${percent(mean)} on average` }];
    return { measures, details, samples: spread(samples, MOST_SAMPLES) };
  },
};

/** Codes of the training drawings in plain view; each is computed once, on first use. */
class CodesOfDrawings {
  readonly #model: EvalModel;
  readonly #drawings: TrainingDrawings;
  readonly #codes = new Map<number, ArrayLike<number>>();

  constructor(model: EvalModel, drawings: TrainingDrawings) {
    this.#model = model;
    this.#drawings = drawings;
  }

  /** The largest share of codes that match a drawing of these concepts, position by position. */
  async mostShared(codes: ArrayLike<number>, concepts: ReadonlySet<string>): Promise<number> {
    let most = 0;
    for (const [index, hexcode] of this.#drawings.hexcodes.entries()) {
      if (concepts.has(hexcode)) most = Math.max(most, sharedCodes(codes, await this.#of(index)));
    }
    return most;
  }

  async #of(index: number): Promise<ArrayLike<number>> {
    let codes = this.#codes.get(index);
    if (!codes) {
      codes = (await this.#model.tokenize(this.#drawings.image(index))).codes;
      this.#codes.set(index, codes);
    }
    return codes;
  }
}

/** Share of equal codes, position by position; 0 for grids of different sizes. */
export function sharedCodes(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return 0;
  let same = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same++;
  return same / a.length;
}
