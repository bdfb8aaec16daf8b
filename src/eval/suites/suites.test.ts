import { describe, expect, test } from "vitest";
import type { RgbImage } from "../../image/rgb.ts";
import { counterRandom } from "../../random/counter.ts";
import { parseScenePrompt } from "../../train/data/scene-text.ts";
import { type Colour, colourValues, drawScene, type Scene } from "../../train/data/scenes.ts";
import { blankImage, drawShape } from "../../train/data/shapes.ts";
import type { EvalModel } from "../eval-model.ts";
import type { SuiteContext } from "../suite.ts";
import { compose, compositions, objectsOf, samplePrompt, scoreComposition } from "./compose.ts";
import { edit, sampleAskedEdit, scoreEdit } from "./edit.ts";
import { glyphGrid } from "./glyph-grid.ts";
import { knownConcepts } from "./held-out.ts";
import { naming } from "./naming.ts";
import { byBook, perplexityOf, reconstruction, useOf } from "./reconstruction.ts";
import { sampleSceneQuestion, scenes } from "./scenes.ts";

const WHITE = [255, 255, 255] as const;

/** Draws what a prompt asks for, in the places it names; colours by `paint`. */
function drawPrompt(prompt: string, paint: (colour: Colour) => Colour = (colour) => colour): RgbImage {
  const { groups, place } = parseScenePrompt(prompt)!;
  const image = blankImage(96, WHITE);
  const objects = groups.flatMap((group) => Array.from({ length: group.count }, () => group));
  const isColumn = place === "above" || place === "below";
  const isBackwards = place === "right" || place === "below";
  objects.forEach(({ shape, colour }, i) => {
    const slot = isBackwards ? objects.length - 1 - i : i;
    const [a, b] = objects.length > 2 ? [24 + 48 * (slot % 2), 24 + 48 * (slot >> 1)] : [24 + 48 * slot, 48];
    const [x, y] = isColumn ? [b, a] : [a, b];
    drawShape(image, { shape, x, y, radius: 14, angle: 0, rgb: colourValues[paint(colour)] });
  });
  return image;
}

const mute: EvalModel = {
  codebooks: 1,
  codesPerBook: 2048,
  ask: async () => "",
  tokenize: async () => ({ grid: [6, 6], codes: new Array<number>(36).fill(0) }),
  reconstruct: async (image) => image,
  imagine: async () => ({ image: blankImage(96, WHITE), codes: { grid: [6, 6], codes: [] } }),
  edit: async (image) => image,
};

const run = (model: Partial<EvalModel>, more: Partial<SuiteContext> = {}): SuiteContext => ({
  model: { ...mute, ...model },
  seed: 0,
  seeds: 1,
  cacheFolder: "/nowhere",
  step: () => {},
  log: () => {},
  ...more,
});

describe("compose", () => {
  const drawing = (paint?: (colour: Colour) => Colour): Partial<EvalModel> => ({
    imagine: async (prompt) => ({ image: drawPrompt(prompt, paint), codes: { grid: [6, 6], codes: [] } }),
  });

  test("passes whoever draws what the prompts say, and prints that another prompt's images fail", async () => {
    const { measures } = await compose.run(run(drawing(), { limit: 12 }));
    expect(Object.keys(measures)).toEqual(["overall", "worst", ...compositions]);
    expect(measures.overall).toMatchObject({ value: 1, n: 72 });
    expect(measures.worst!.value).toBe(1);
    expect(measures.overall!.floors.otherPrompt).toBeLessThan(0.15);
  });

  test("wrong colours fail where colours are asked for, and nowhere else", async () => {
    const next = (colour: Colour): Colour => (colour === "red" ? "blue" : "red");
    const { measures, details } = await compose.run(run(drawing(next), { limit: 6 }));
    for (const kind of ["single", "two", "counting", "position"]) expect(measures[kind]!.value, kind).toBe(1);
    for (const kind of ["colors", "attribution"]) expect(measures[kind]!.value, kind).toBe(0);
    expect(measures.worst!.value).toBe(0);
    expect(details[0]!.text).toBe("colors");
  });

  test("one object too many, a wrong place and an empty image fail", () => {
    const score = (kind: (typeof compositions)[number], prompt: string, image: RgbImage) =>
      scoreComposition(kind, objectsOf(image), parseScenePrompt(prompt)!);
    const above = "a red circle above a blue square";
    expect(score("position", above, drawPrompt(above))).toBe(true);
    expect(score("position", above, drawPrompt("a red circle below a blue square"))).toBe(false);
    expect(score("attribution", "a red circle and a blue square", drawPrompt("a blue circle and a red square"))).toBe(
      false,
    );
    expect(score("counting", "two red stars", drawPrompt("three red stars"))).toBe(false);
    expect(score("single", "a red star", drawPrompt("two red stars"))).toBe(false);
    expect(score("single", "a red star", blankImage(96, WHITE))).toBe(false);
  });

  test("prompts are those of the seed and can be read back", () => {
    for (const kind of compositions) {
      const prompts = Array.from({ length: 20 }, (_, i) => samplePrompt(kind, counterRandom(1, kind).fork(i)));
      expect(new Set(prompts).size).toBeGreaterThan(12);
      for (const prompt of prompts) expect(parseScenePrompt(prompt), prompt).toBeDefined();
    }
  });
});

describe("edit", () => {
  test("passes the edited scene and fails the scene as it was", async () => {
    let index = 0;
    const edited = async () => drawScene(sampleAskedEdit(0, index++).edit.after, 96);
    const { measures, details } = await edit.run(run({ edit: edited }, { limit: 120 }));
    expect(measures.accuracy!.value).toBeGreaterThan(0.97);
    expect(measures.accuracy!.floors.unchanged).toBe(0);
    expect(details.map(({ name }) => name)).toEqual(expect.arrayContaining(["recolour", "add", "remove", "move"]));
  });

  test("something else that changed, or moved, is a fault", () => {
    let checked = 0;
    for (let index = 0; checked < 20; index++) {
      const { before, edit } = sampleAskedEdit(0, index);
      if (edit.kind !== "recolour" || before.objects.length < 2 || before.kind !== "pair") continue;
      checked++;
      const still = edit.after.objects.findIndex((object, i) => object.colour === before.objects[i]!.colour);
      const change = (more: Partial<Scene["objects"][number]>): Scene => ({
        ...edit.after,
        objects: edit.after.objects.map((object, i) => (i === still ? { ...object, ...more } : object)),
      });
      const { colour, x } = edit.after.objects[still]!;
      const other = colour === "green" ? "black" : "green";
      const score = (scene: Scene) => scoreEdit(objectsOf(drawScene(scene, 96)), before, edit);
      expect(score(change({}))).toBe(true);
      expect(score(change({ colour: other, rgb: colourValues[other] }))).toBe(false);
      expect(score(change({ x: x > 48 ? x - 30 : x + 30 }))).toBe(false);
    }
  });
});

describe("scenes", () => {
  test("counts right answers, open and yes or no apart, beside what questions alone give away", async () => {
    let index = 0;
    const right = async () => sampleSceneQuestion(0, index++).answer;
    const { measures } = await scenes.run(run({ ask: right }, { limit: 200 }));
    expect(measures.accuracy).toMatchObject({ value: 1, n: 200 });
    expect(measures.yesNo!.n).toBe(40);
    expect(measures.open!.floors.questionAlone).toBeLessThan(0.6);
    const yes = await scenes.run(run({ ask: async () => "Yes." }, { limit: 200 }));
    expect(yes.measures.open!.value).toBe(0);
    expect(Math.abs(yes.measures.yesNo!.value - 0.5)).toBeLessThan(0.25);
    expect(Math.abs(yes.measures.yesNo!.floors.majority! - 0.5)).toBeLessThan(0.1);
  });
});

describe("naming", () => {
  test("compares with the captions of the held-out style", async () => {
    const captions = (await knownConcepts()).map(({ caption }) => caption);
    let index = 0;
    const { measures } = await naming.run(run({ ask: async () => captions[index++]!.toUpperCase() }));
    expect(measures.accuracy).toMatchObject({ value: 1, n: 456 });
    expect(measures.accuracy!.floors.majority).toBeLessThan(0.01);
    const { measures: none } = await naming.run(run({ ask: async () => "a thing" }, { limit: 10 }));
    expect(none.accuracy!.value).toBe(0);
  });
});

describe("reconstruction", () => {
  test("an image that comes back unchanged has the highest scores", async () => {
    const notes: string[] = [];
    const context = run({}, { limit: 12, log: (line) => notes.push(line) });
    const { measures } = await reconstruction.run(context);
    expect(measures.psnr!.value).toBe(99);
    expect(measures.ssim!.value).toBeCloseTo(1, 10);
    expect(measures.perplexity!.value).toBe(1);
    expect(measures.bookUse!.value).toBe(1 / 2048);
    expect(notes.join()).toContain("kelix data");
  });

  test("books are counted by themselves", () => {
    expect(byBook([1, 10, 2, 20, 3, 30], 2)).toEqual([
      [1, 2, 3],
      [10, 20, 30],
    ]);
    const items = [{ codes: [[0, 1, 2, 3]] }, { codes: [[0, 1, 2, 3]] }];
    expect(useOf(items, 0, 8)).toBe(0.5);
    expect(perplexityOf(items, 0)).toBeCloseTo(4);
    expect(perplexityOf([{ codes: [[0, 0, 0, 1]] }], 0)).toBeCloseTo(4 / 3 ** 0.75);
  });
});

describe("glyph-grid", () => {
  test("prints the ceiling of the model's codes beside what it reads", async () => {
    const { measures } = await glyphGrid.run(run({}, { limit: 2 }));
    expect(Object.keys(measures)).toEqual(["level1", "level2", "level3", "level4"]);
    expect(measures.level3).toMatchObject({ value: 0, n: 2 });
    expect(measures.level1!.floors).toMatchObject({ questionAlone: 1 / 36, ceiling: 1 });
    expect(measures.level3!.floors.ceiling).toBeCloseTo(0.7, 2);
    expect(measures.level4!.floors.ceiling).toBeCloseTo(0.47, 2);
  });

  test("fits the grid to other models' positions", async () => {
    const five = async ({ width }: { readonly width: number }) => {
      const side = width === 5 * 16 ? 5 : 3;
      return { grid: [side, side] as const, codes: [] };
    };
    const { samples } = await glyphGrid.run(run({ tokenize: five }, { limit: 1 }));
    expect(samples.map(({ images }) => images[0]!.image.width)).toEqual([80, 80, 80, 80]);
  });

  test("rejects a model whose positions symbols cannot be aligned with", async () => {
    const odd = async () => ({ grid: [5, 7] as const, codes: [] });
    await expect(glyphGrid.run(run({ tokenize: odd }))).rejects.toThrow("not squares of 16, 28 or 32 pixels");
  });
});
