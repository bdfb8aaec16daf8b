// scenes: questions about newly drawn scenes, open (colour, shape, number, size, place) and yes or no. Half of them use the
// table's wording (scene-text.ts), half varied phrasings.

import { counterRandom } from "../../random/counter.ts";
import { ask } from "../../train/data/phrasing.ts";
import { askAboutScene, isThere } from "../../train/data/scene-text.ts";
import { drawScene, type Scene, sampleScene } from "../../train/data/scenes.ts";
import { isSameAnswer, majority, questionFloor } from "../answers.ts";
import { shareOf } from "../measure.ts";
import { itemCount, MOST_SAMPLES, type Sample, type Suite, sharesByKind, spread } from "../suite.ts";

/** No training config uses these seeds. */
export const SCENE_SEED = 900_913;
const QUESTIONS = 600;
/** Questions used for floors: with few, the most common answer to each would be a large share. */
const FLOOR_QUESTIONS = 2000;
/** One question in five is yes or no. */
const YES_NO_EVERY = 5;

export interface AskedScene {
  readonly scene: Scene;
  readonly kind: string;
  /** The table's wording, on which the answer without an image depends. */
  readonly canonical: string;
  readonly question: string;
  readonly answer: string;
}

/** The question for a seed and an index, about its own scene. */
export function sampleSceneQuestion(seed: number, index: number): AskedScene {
  const random = counterRandom(SCENE_SEED + seed, "scene question").fork(index);
  const scene = sampleScene(SCENE_SEED + seed, index);
  const isYesNo = index % YES_NO_EVERY === 0;
  const { about, question, answer } = isYesNo
    ? isThere(scene, random.fork("is there"))
    : askAboutScene(scene, random.fork("question"));
  const asked = index % 2 === 0 ? question : ask(question, random.fork("form"), scene.kind === "group");
  return { scene, kind: about, canonical: question, question: asked, answer };
}

export const scenes: Suite = {
  about: "answers questions about drawn scenes, half of them in varied phrasings",
  async run(context) {
    const n = itemCount(context, QUESTIONS);
    const items: (AskedScene & { isRight: boolean })[] = [];
    const samples: Sample[] = [];
    for (let index = 0; index < n; index++) {
      context.step("scenes", index, n);
      const asked = sampleSceneQuestion(context.seed, index);
      const image = drawScene(asked.scene);
      const answer = await context.model.ask(image, asked.question);
      const isRight = isSameAnswer(answer, asked.answer);
      items.push({ ...asked, isRight });
      samples.push({ images: [{ label: asked.question, image }], text: `${answer} (${asked.answer})`, isRight });
    }
    const known = Array.from({ length: FLOOR_QUESTIONS }, (_, i) => sampleSceneQuestion(context.seed, i));
    const share = (isWanted: (asked: AskedScene) => boolean) => {
      const asked = known.filter(isWanted);
      const floors = {
        questionAlone: questionFloor(asked.map(({ canonical: question, answer }) => ({ question, answer }))),
        majority: majority(asked.map(({ answer }) => answer)),
      };
      return shareOf(
        items.filter(isWanted).map(({ isRight }) => isRight),
        floors,
      );
    };
    const measures = {
      accuracy: share(() => true),
      open: share(({ kind }) => kind !== "yesNo"),
      yesNo: share(({ kind }) => kind === "yesNo"),
    };
    const asTable = items.map((item) => ({
      kind: item.question === item.canonical ? "in the table's words" : "in other words",
      isRight: item.isRight,
    }));
    const details = [...sharesByKind(items), ...sharesByKind(asTable)];
    return { measures, details, samples: spread(samples, MOST_SAMPLES) };
  },
};
