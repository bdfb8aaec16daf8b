// compose: GenEval's six kinds of prompts (Ghosh et al., arXiv:2310.11513) over the scenes' shapes and colours, scored from pixels.
// Stricter than GenEval: an image must always have exactly as many objects as its prompt.

import { resize } from "../../image/resize.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { withArticle } from "../../train/data/concepts.ts";
import { countWords, parseScenePrompt, type WantedScene } from "../../train/data/scene-text.ts";
import { colours } from "../../train/data/scenes.ts";
import { shapes } from "../../train/data/shapes.ts";
import { type Measure, shareOf } from "../measure.ts";
import { type FoundObject, findObjects, judgeObjects } from "../scene-judge.ts";
import { itemCount, MOST_SAMPLES, type Sample, type Suite, spread } from "../suite.ts";
import { SCENE_SEED } from "./scenes.ts";

export const compositions = ["single", "two", "counting", "colors", "position", "attribution"] as const;
export type Composition = (typeof compositions)[number];

const PROMPTS = 50;
/** The scene judge's templates are for this size. */
export const SCENE_SIDE = 96;

/** A prompt of a kind: every prompt names colours, as in training; the kind decides what is scored. */
export function samplePrompt(kind: Composition, random: CounterRandom): string {
  const draw = random.sequence();
  const [shape, other] = [draw.pick(shapes), draw.integer(shapes.length - 1)];
  const [colour, second] = [draw.pick(colours), draw.integer(colours.length - 1)];
  const object = `${colour} ${shape}`;
  const another = `${colours.filter((c) => c !== colour)[second]} ${shapes.filter((s) => s !== shape)[other]}`;
  switch (kind) {
    case "single":
    case "colors":
      return withArticle(object);
    case "counting":
      return `${countWords[2 + draw.integer(3)]} ${object}s`;
    case "two":
    case "attribution":
      return `${withArticle(object)} and ${withArticle(another)}`;
    case "position": {
      const place = draw.pick(["to the left of", "to the right of", "above", "below"]);
      return `${withArticle(object)} ${place} ${withArticle(another)}`;
    }
  }
}

/** Whether an image satisfies its kind of prompt. */
export function scoreComposition(kind: Composition, found: readonly FoundObject[], wanted: WantedScene): boolean {
  const verdict = judgeObjects(found, wanted);
  const kinds = (of: (object: { readonly colour: string; readonly shape: string }) => string) => {
    const expected = wanted.groups.flatMap((group) => new Array<string>(group.count).fill(of(group)));
    return found.map(of).sort().join() === expected.sort().join();
  };
  const hasShapes = kinds(({ shape }) => shape);
  switch (kind) {
    case "single":
    case "two":
    case "counting":
      return hasShapes;
    case "colors":
    case "attribution":
      return kinds(({ colour, shape }) => `${colour} ${shape}`);
    case "position":
      return hasShapes && verdict.isShapePlaceRight;
  }
}

export function objectsOf(image: RgbImage): FoundObject[] {
  return findObjects(resize(image, SCENE_SIDE, SCENE_SIDE));
}

export const compose: Suite = {
  about: "draws scenes from prompts: one object, two, several, with colours and places",
  async run(context) {
    const n = itemCount(context, PROMPTS);
    const measures: Record<string, Measure> = {};
    const samples: Sample[] = [];
    const all: boolean[] = [];
    const exchanged: boolean[] = [];
    for (const [k, kind] of compositions.entries()) {
      const drawn: { found: FoundObject[]; wanted: WantedScene }[] = [];
      const right: boolean[] = [];
      for (let i = 0; i < n * context.seeds; i++) {
        context.step(`compose: ${kind}`, k * n * context.seeds + i, compositions.length * n * context.seeds);
        const index = i % n;
        const prompt = samplePrompt(kind, counterRandom(SCENE_SEED + context.seed, `compose ${kind}`).fork(index));
        const { image } = await context.model.imagine(prompt, context.seed + i);
        const wanted = parseScenePrompt(prompt)!;
        const found = objectsOf(image);
        const isRight = scoreComposition(kind, found, wanted);
        drawn.push({ found, wanted });
        right.push(isRight);
        const seen = found.map(({ colour, shape }) => `${colour} ${shape}`).join(", ") || "nothing";
        samples.push({ images: [{ label: `${kind}: ${prompt}`, image }], text: `seen: ${seen}`, isRight });
      }
      const others = drawn.map(({ found }, i) => scoreComposition(kind, found, drawn[(i + 1) % drawn.length]!.wanted));
      measures[kind] = shareOf(right, { otherPrompt: shareOf(others).value });
      all.push(...right);
      exchanged.push(...others);
    }
    const worst = compositions.reduce((a, b) => (measures[b]!.value < measures[a]!.value ? b : a));
    const overall = shareOf(all, { otherPrompt: shareOf(exchanged).value });
    return {
      measures: { overall, worst: measures[worst]!, ...measures },
      details: [{ name: "worst kind", text: worst }],
      samples: compositions.flatMap((_, k) =>
        spread(samples.slice(k * n * context.seeds, (k + 1) * n * context.seeds), MOST_SAMPLES / compositions.length),
      ),
    };
  },
};
