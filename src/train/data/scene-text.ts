// Text about a scene: its description, prompts for it, questions with one right answer each,
// and parsing a prompt. Every word comes from the scene's own description.

import type { CounterRandom } from "../../random/counter.ts";
import { withArticle } from "./concepts.ts";
import { unwrapRequest } from "./phrasing.ts";
import { type Colour, colours, type Place, type Scene, type SceneObject, type Size } from "./scenes.ts";
import { type Shape, shapes } from "./shapes.ts";

export interface Turn {
  readonly question: string;
  readonly answer: string;
}

export interface SceneQuestion extends Turn {
  readonly about: "colour" | "shape" | "count" | "size" | "place" | "yesNo" | "digit";
}

export const countWords = ["zero", "one", "two", "three", "four"] as const;
const places: Readonly<Record<Place, string>> = {
  left: "to the left of",
  right: "to the right of",
  above: "above",
  below: "below",
};

/** The one form of answer to "Describe the picture.": "two red circles", "a red circle above a blue square". */
export function describeScene(scene: Scene): string {
  const [first, second] = scene.objects;
  if (!first || !second || scene.kind === "group") return phrase(first!, scene.objects.length, false);
  // The object on the left or above comes first, so that an image has one description.
  const isEarlier = scene.place === "left" || scene.place === "above";
  const [a, b] = isEarlier ? [first, second] : [second, first];
  const isRow = scene.place === "left" || scene.place === "right";
  return `${phrase(a, 1, false)} ${places[isRow ? "left" : "above"]} ${phrase(b, 1, false)}`;
}

/** A prompt that the scene fulfils; some mention sizes and places. */
export function promptForScene(scene: Scene, random: CounterRandom): string {
  const draw = random.sequence();
  const isSized = draw.uniform() < 0.4;
  const [first, second] = scene.objects;
  if (!first || !second || scene.kind === "group") return phrase(first!, scene.objects.length, isSized);
  const joined = draw.uniform() < 0.4 ? "and" : places[scene.place!];
  return `${phrase(first, 1, isSized)} ${joined} ${phrase(second, 1, isSized)}`;
}

/** Every question about a scene that its image can answer. */
export function questionsAboutScene({ kind, objects, place }: Scene): SceneQuestion[] {
  const questions: SceneQuestion[] = [];
  const [first, second] = objects as readonly [SceneObject, SceneObject?];
  if (kind === "group" || !second) {
    const isOne = objects.length === 1;
    const plural = `${first.shape}s`;
    const noun = isOne ? first.shape : plural;
    const verb = isOne ? "is" : "are";
    const count = countWords[objects.length]!;
    questions.push({ about: "count", question: `How many ${plural} are there?`, answer: count });
    questions.push({ about: "count", question: `How many ${first.colour} shapes are there?`, answer: count });
    questions.push({ about: "colour", question: `What colour ${verb} the ${noun}?`, answer: first.colour });
    questions.push({ about: "shape", question: isOne ? "What shape is it?" : "What shape are they?", answer: noun });
    questions.push({ about: "size", question: `What size ${verb} the ${noun}?`, answer: first.size });
    return questions;
  }
  for (const [object, other] of [
    [first, second],
    [second, first],
  ] as const) {
    if (object.shape !== other.shape) {
      questions.push({ about: "colour", question: `What colour is the ${object.shape}?`, answer: object.colour });
      questions.push({ about: "size", question: `What size is the ${object.shape}?`, answer: object.size });
    }
    if (object.colour !== other.colour) {
      questions.push({ about: "shape", question: `What shape is the ${object.colour} one?`, answer: object.shape });
    }
    const where = object === first ? place! : opposite[place!];
    const at = { left: "on the left", right: "on the right", above: "at the top", below: "at the bottom" }[where];
    questions.push({ about: "place", question: `What is ${at}?`, answer: phrase(object, 1, false) });
  }
  return questions;
}

const opposite: Readonly<Record<Place, Place>> = { left: "right", right: "left", above: "below", below: "above" };

/** One question about the scene, each possible kind equally likely. */
export function askAboutScene(scene: Scene, random: CounterRandom): SceneQuestion {
  const draw = random.sequence();
  const questions = questionsAboutScene(scene);
  const about = draw.pick([...new Set(questions.map((question) => question.about))]);
  return draw.pick(questions.filter((question) => question.about === about));
}

/** A yes-or-no question about presence: half are true; most of the others have only one wrong word. */
export function isThere(scene: Scene, random: CounterRandom): SceneQuestion {
  const draw = random.sequence();
  const { colour, shape } = draw.pick(scene.objects);
  if (draw.uniform() < 0.5)
    return { about: "yesNo", question: `Is there ${withArticle(`${colour} ${shape}`)}?`, answer: "yes" };
  const isDrawn = (c: Colour, s: Shape) => scene.objects.some((object) => object.colour === c && object.shape === s);
  const wrong = colours
    .flatMap((c) => shapes.map((s) => ({ colour: c, shape: s })))
    .filter((o) => !isDrawn(o.colour, o.shape));
  const near = wrong.filter((object) => (object.colour === colour) !== (object.shape === shape));
  const other = draw.pick(draw.uniform() < 0.8 ? near : wrong);
  return { about: "yesNo", question: `Is there ${withArticle(`${other.colour} ${other.shape}`)}?`, answer: "no" };
}

/** The accuracy of always giving a question's most common answer, without seeing the image. */
export function questionOnlyFloor(turns: readonly Turn[]): number {
  const byQuestion = new Map<string, Map<string, number>>();
  for (const { question, answer } of turns) {
    const answers = byQuestion.get(question) ?? new Map<string, number>();
    byQuestion.set(question, answers.set(answer, (answers.get(answer) ?? 0) + 1));
  }
  let right = 0;
  for (const answers of byQuestion.values()) right += Math.max(...answers.values());
  return turns.length ? right / turns.length : 0;
}

/** The content of a prompt: objects with their number, and the first one's place if given. */
export interface WantedScene {
  readonly groups: readonly WantedGroup[];
  readonly place?: Place;
}

export interface WantedGroup {
  readonly count: number;
  readonly colour: Colour;
  readonly shape: Shape;
  readonly size?: Size;
}

/** Reads a prompt or a description of a scene; undefined if it is not one. */
export function parseScenePrompt(prompt: string): WantedScene | undefined {
  const text = unwrapRequest(prompt).toLowerCase();
  const place = (Object.keys(places) as Place[]).find((name) => text.includes(` ${places[name]} `));
  const groups = text.split(place ? ` ${places[place]} ` : " and ").map(parseGroup);
  if (groups.some((group) => group === undefined) || groups.length > 2) return undefined;
  return { groups: groups as WantedGroup[], ...(place && { place }) };
}

function parseGroup(text: string): WantedGroup | undefined {
  const match = /^(an?|one|two|three|four) (?:(small|large) )?(\w+) (\w+?)s?$/.exec(text);
  const [, number, size, colour, shape] = match ?? [];
  if (!number || !isOneOf(colours, colour) || !isOneOf(shapes, shape)) return undefined;
  const count = number.startsWith("a") ? 1 : countWords.indexOf(number as (typeof countWords)[number]);
  return { count, colour, shape, ...(isOneOf(["small", "large"] as const, size) && { size }) };
}

function isOneOf<T extends string>(values: readonly T[], value: string | undefined): value is T {
  return (values as readonly (string | undefined)[]).includes(value);
}

function phrase({ shape, colour, size }: SceneObject, count: number, isSized: boolean): string {
  const words = isSized ? `${size} ${colour}` : colour;
  if (count > 1) return `${countWords[count]} ${words} ${shape}s`;
  return withArticle(`${words} ${shape}`);
}
