// edit: a drawn scene and a request to recolour, add, remove or move something, scored from the pixels. Everything else
// must stay. The floor is the unchanged image.

import { counterRandom } from "../../random/counter.ts";
import { editScene, type SceneEdit } from "../../train/data/scene-edits.ts";
import { drawScene, type Scene, type SceneObject, sampleScene } from "../../train/data/scenes.ts";
import { shareOf } from "../measure.ts";
import type { FoundObject } from "../scene-judge.ts";
import { itemCount, MOST_SAMPLES, type Sample, type Suite, sharesByKind, spread } from "../suite.ts";
import { objectsOf, SCENE_SIDE } from "./compose.ts";
import { SCENE_SEED } from "./scenes.ts";

const EDITS = 200;
/** How far an unchanged object may shift, and a moved one may miss its place; moves are longer than the latter. */
const STAYS_WITHIN = SCENE_SIDE / 8;
const MOVED_WITHIN = SCENE_SIDE / 6;

interface Target {
  readonly colour: string;
  readonly shape: string;
  readonly x: number;
  readonly y: number;
  /** In pixels; infinite if any place is accepted. */
  readonly within: number;
}

/** Whether the objects of an answer match the edited scene. */
export function scoreEdit(found: readonly FoundObject[], before: Scene, { kind, after }: SceneEdit): boolean {
  if (found.length !== after.objects.length) return false;
  const staying = ({ colour, shape, x, y }: SceneObject): Target => ({ colour, shape, x, y, within: STAYS_WITHIN });
  // Any one of several equal objects may be removed.
  const isAnyGone = kind === "remove" && before.kind === "group";
  const targets = (isAnyGone ? before : after).objects.map((object) => {
    if (kind === "move") return { ...staying(object), within: MOVED_WITHIN };
    if (kind === "add" && !before.objects.includes(object))
      return { ...staying(object), within: Number.POSITIVE_INFINITY };
    return staying(object);
  });
  return canMatch(found, targets);
}

/** Whether found objects can be matched one to one with targets. */
function canMatch([first, ...rest]: readonly FoundObject[], targets: readonly Target[]): boolean {
  if (!first) return true;
  return targets.some(
    (target) =>
      target.colour === first.colour &&
      target.shape === first.shape &&
      Math.hypot(target.x - first.x, target.y - first.y) <= target.within &&
      canMatch(
        rest,
        targets.filter((other) => other !== target),
      ),
  );
}

export interface AskedEdit {
  readonly before: Scene;
  readonly edit: SceneEdit;
}

/** The edit for a seed and an index, of held-out scenes. */
export function sampleAskedEdit(seed: number, index: number): AskedEdit {
  const before = sampleScene(SCENE_SEED + seed, index, SCENE_SIDE);
  return { before, edit: editScene(before, SCENE_SIDE, counterRandom(SCENE_SEED + seed, "edit").fork(index)) };
}

export const edit: Suite = {
  about: "edits drawn scenes on request: recolour, add, remove, move",
  async run(context) {
    const n = itemCount(context, EDITS);
    const items: { kind: string; isRight: boolean }[] = [];
    const unchanged: boolean[] = [];
    const samples: Sample[] = [];
    for (let index = 0; index < n; index++) {
      context.step("edit", index, n);
      const { before, edit } = sampleAskedEdit(context.seed, index);
      const image = drawScene(before, SCENE_SIDE);
      const answer = await context.model.edit(image, edit.instruction, context.seed + index);
      const isRight = scoreEdit(objectsOf(answer), before, edit);
      items.push({ kind: edit.kind, isRight });
      unchanged.push(scoreEdit(objectsOf(image), before, edit));
      samples.push({
        images: [
          { label: "before", image },
          { label: "after", image: answer },
        ],
        text: edit.instruction,
        isRight,
      });
    }
    const accuracy = shareOf(
      items.map(({ isRight }) => isRight),
      { unchanged: shareOf(unchanged).value },
    );
    return { measures: { accuracy }, details: sharesByKind(items), samples: spread(samples, MOST_SAMPLES) };
  },
};
