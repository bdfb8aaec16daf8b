// Edits of a scene, with requests for them: recolour, add, remove, move. Everything else stays in place.

import type { RgbImage } from "../../image/rgb.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { withArticle } from "./concepts.ts";
import { asTyped } from "./phrasing.ts";
import { colours, colourValues, drawScene, type Scene, type SceneObject, sampleScene } from "./scenes.ts";
import { EXTENT } from "./shapes.ts";
import { type Split, splits } from "./split.ts";

export const editKinds = ["recolour", "add", "remove", "move"] as const;
export type EditKind = (typeof editKinds)[number];

export interface SceneEdit {
  readonly kind: EditKind;
  readonly instruction: string;
  readonly after: Scene;
}

const MOST_OBJECTS = 4;
const MIN_GAP = 5;
const ATTEMPTS = 40;

/** One of the edits that the scene allows, each kind equally likely. */
export function editScene(scene: Scene, side: number, random: CounterRandom): SceneEdit {
  const order = [...editKinds];
  const draw = random.fork("order").sequence();
  while (order.length > 0) {
    const [kind] = order.splice(draw.integer(order.length), 1);
    const edit = edits[kind!](scene, side, random.fork(kind!));
    if (edit) return { kind: kind!, ...edit };
  }
  throw new Error("a scene can always be recoloured");
}

/** A scene's image, a request, and the edited image. */
export interface EditSample {
  readonly before: RgbImage;
  readonly instruction: string;
  readonly after: RgbImage;
}

/** The edit for a seed and an index. Splits share no scenes; in training requests vary as users might type them. */
export function sampleEdit(split: Split, seed: number, index: number, side: number): EditSample {
  const random = counterRandom(seed, `edit ${split}`).fork(index);
  const scene = sampleScene(seed, index * splits.length + splits.indexOf(split), side);
  const { instruction, after } = editScene(scene, side, random);
  return {
    before: drawScene(scene, side),
    instruction: split === "train" ? asTyped(instruction, random.fork("typed")) : instruction,
    after: drawScene(after, side),
  };
}

/** Edit requests with the repetition of training: for the vocabulary. */
export function* editTexts(samples: number, side = 96): Generator<string> {
  for (let index = 0; index < samples; index++) yield sampleEdit("train", 0, index, side).instruction;
}

type Edit = (scene: Scene, side: number, random: CounterRandom) => Omit<SceneEdit, "kind"> | undefined;

const edits: Readonly<Record<EditKind, Edit>> = {
  recolour(scene, _, random) {
    const draw = random.sequence();
    const [target, name] = pickTarget(scene, draw.integer(scene.objects.length));
    const taken = scene.objects.map((object) => object.colour);
    const colour = draw.pick(colours.filter((other) => !taken.includes(other)));
    const objects = scene.objects.map((object) =>
      target.includes(object) ? { ...object, colour, rgb: colourValues[colour] } : object,
    );
    const forms = [
      `Make ${name} ${colour}.`,
      `Colour ${name} ${colour}.`,
      `Paint ${name} ${colour}.`,
      `Change ${name} to ${colour}.`,
    ];
    return { instruction: draw.pick(forms), after: { ...scene, objects } };
  },

  add(scene, side, random) {
    if (scene.kind !== "group" || scene.objects.length === MOST_OBJECTS) return undefined;
    const draw = random.sequence();
    const first = scene.objects[0]!;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const room = side - 2 * (EXTENT * first.radius + 2);
      const at = () => EXTENT * first.radius + 2 + draw.uniform() * room;
      const added: SceneObject = { ...first, x: at(), y: at() };
      if (!scene.objects.every((other) => areApart(added, other))) continue;
      const noun = `${first.colour} ${first.shape}`;
      const forms = [
        `Add another ${noun}.`,
        `Add one more ${noun}.`,
        `Put in one more ${first.shape}.`,
        `Draw ${withArticle(noun)} beside it.`,
      ];
      return { instruction: draw.pick(forms), after: { ...scene, objects: [...scene.objects, added] } };
    }
    return undefined;
  },

  remove(scene, _, random) {
    if (scene.objects.length < 2) return undefined;
    const draw = random.sequence();
    const gone = scene.objects[draw.integer(scene.objects.length)]!;
    const objects = scene.objects.filter((object) => object !== gone);
    const name = scene.kind === "group" ? `one of the ${gone.shape}s` : `the ${gone.colour} ${gone.shape}`;
    const forms = [`Remove ${name}.`, `Take away ${name}.`, `Delete ${name}.`, `Erase ${name}.`];
    return { instruction: draw.pick(forms), after: { kind: "group", objects, background: scene.background } };
  },

  move(scene, side, random) {
    if (scene.objects.length !== 1) return undefined;
    const draw = random.sequence();
    const object = scene.objects[0]!;
    const margin = EXTENT * object.radius + 2;
    const targets = [
      { words: "to the left", x: margin, y: object.y },
      { words: "to the right", x: side - margin, y: object.y },
      { words: "to the top", x: object.x, y: margin },
      { words: "to the bottom", x: object.x, y: side - margin },
    ].filter(({ x, y }) => Math.hypot(x - object.x, y - object.y) > side / 6);
    if (targets.length === 0) return undefined;
    const { words, x, y } = draw.pick(targets);
    const forms = [
      `Move it ${words}.`,
      `Move the ${object.shape} ${words}.`,
      `Shift it ${words}.`,
      `Put the ${object.shape} ${words.replace("to", "on")}.`,
    ];
    return { instruction: draw.pick(forms), after: { ...scene, objects: [{ ...object, x, y }] } };
  },
};

/** The subject of an edit, with its name: all of a group, or one of a pair. */
function pickTarget(scene: Scene, index: number): [readonly SceneObject[], string] {
  const object = scene.objects[index]!;
  if (scene.kind === "pair") return [[object], `the ${object.colour} ${object.shape}`];
  return [scene.objects, scene.objects.length > 1 ? `the ${object.shape}s` : `the ${object.shape}`];
}

function areApart(a: SceneObject, b: SceneObject): boolean {
  return Math.hypot(a.x - b.x, a.y - b.y) > EXTENT * (a.radius + b.radius) + MIN_GAP;
}
