import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import {
  askAboutScene,
  countWords,
  describeScene,
  parseScenePrompt,
  promptForScene,
  questionOnlyFloor,
  questionsAboutScene,
} from "./scene-text.ts";
import { drawScene, type Scene, sampleScene } from "./scenes.ts";
import { EXTENT, shapes, signedDistance } from "./shapes.ts";

const SEED = 12;
const scenes = Array.from({ length: 600 }, (_, index) => sampleScene(SEED, index));

describe("sampleScene", () => {
  test("is a function of seed, index and side", () => {
    expect(sampleScene(SEED, 5)).toEqual(scenes[5]);
    expect(sampleScene(SEED + 1, 5)).not.toEqual(scenes[5]);
    expect(describeScene(sampleScene(SEED, 5, 128))).toBe(describeScene(scenes[5]!));
  });

  test("keeps objects inside the image and apart", () => {
    for (const { objects } of scenes) {
      for (const [i, { x, y, radius }] of objects.entries()) {
        // The tip of a large star may lose its last pixel.
        expect(Math.min(x, y, 96 - x, 96 - y)).toBeGreaterThan(EXTENT * radius - 1.2);
        for (const other of objects.slice(i + 1)) {
          const distance = Math.max(Math.abs(x - other.x), Math.abs(y - other.y));
          // Neighbours along an axis keep a gap; those placed freely keep one in any direction.
          expect(Math.max(distance, Math.hypot(x - other.x, y - other.y) / Math.SQRT2)).toBeGreaterThan(
            radius + other.radius,
          );
        }
      }
    }
  });

  test("has groups of one to four in equal parts, and pairs that differ", () => {
    const groups = scenes.filter(({ kind }) => kind === "group");
    for (let count = 1; count <= 4; count++) {
      const share = groups.filter(({ objects }) => objects.length === count).length / groups.length;
      expect(share).toBeGreaterThan(0.18);
    }
    for (const { kind, objects } of scenes) {
      const kinds = new Set(objects.map(({ colour, shape }) => `${colour} ${shape}`));
      expect(kinds.size).toBe(kind === "pair" ? 2 : 1);
    }
  });

  test("places the first of a pair where it says", () => {
    for (const { objects, place } of scenes.filter(({ kind }) => kind === "pair")) {
      const [a, b] = objects as [Scene["objects"][number], Scene["objects"][number]];
      const beyond = { left: b.x - a.x, right: a.x - b.x, above: b.y - a.y, below: a.y - b.y }[place!];
      expect(beyond).toBeGreaterThan(EXTENT * (a.radius + b.radius));
    }
  });
});

test("a drawn scene has its background in the corner and its colours in the objects' middles", () => {
  for (const scene of scenes.slice(0, 50)) {
    const { data, width } = drawScene(scene);
    expect([...data.subarray(0, 3)]).toEqual(scene.background);
    for (const { x, y, rgb } of scene.objects) {
      const at = (Math.floor(y) * width + Math.floor(x)) * 3;
      expect([...data.subarray(at, at + 3)]).toEqual(rgb);
    }
  }
});

test("signed distances are negative inside, positive outside, and lengths near the outline", () => {
  for (const shape of shapes) {
    expect(signedDistance(shape, 0, 0)).toBeLessThan(-0.3);
    expect(signedDistance(shape, 3, 0)).toBeGreaterThan(1.5);
    const gradient = Math.hypot(
      (signedDistance(shape, 2.001, 0.3) - signedDistance(shape, 1.999, 0.3)) / 0.002,
      (signedDistance(shape, 2, 0.301) - signedDistance(shape, 2, 0.299)) / 0.002,
    );
    expect(gradient).toBeCloseTo(1, 3);
  }
});

describe("what is said about scenes", () => {
  test("descriptions and prompts read back as what was drawn", () => {
    for (const [index, scene] of scenes.entries()) {
      for (const text of [describeScene(scene), promptForScene(scene, counterRandom(1, "prompt").fork(index))]) {
        const wanted = parseScenePrompt(text);
        expect(wanted, text).toBeDefined();
        const said = wanted!.groups.map(({ count, colour, shape }) => `${count} ${colour} ${shape}`).sort();
        const isPair = scene.kind === "pair";
        const drawn = (isPair ? scene.objects : scene.objects.slice(0, 1))
          .map(({ colour, shape }) => `${isPair ? 1 : scene.objects.length} ${colour} ${shape}`)
          .sort();
        expect(said).toEqual(drawn);
        for (const { size } of wanted!.groups)
          if (size) expect(scene.objects.map((object) => object.size)).toContain(size);
      }
    }
  });

  test("a pair has one description, whichever object comes first", () => {
    for (const scene of scenes.filter(({ kind }) => kind === "pair")) {
      const opposite = { left: "right", right: "left", above: "below", below: "above" } as const;
      const turned: Scene = { ...scene, objects: [...scene.objects].reverse(), place: opposite[scene.place!] };
      expect(describeScene(turned)).toBe(describeScene(scene));
    }
  });

  test("prompts are read with or without a polite frame, and other text is not", () => {
    const wanted = { groups: [{ count: 2, colour: "red", shape: "circle" }] };
    for (const text of [
      "two red circles",
      "Draw two red circles.",
      "a picture of two red circles",
      "Show me two red circles.",
    ]) {
      expect(parseScenePrompt(text)).toEqual(wanted);
    }
    for (const text of ["", "a red apple", "red circle", "five red circles", "a dog and a red circle"]) {
      expect(parseScenePrompt(text)).toBeUndefined();
    }
  });

  test("no question has two answers in one image", () => {
    for (const scene of scenes) {
      const answers = new Map<string, string>();
      for (const { question, answer } of questionsAboutScene(scene)) {
        expect(answers.get(question) ?? answer).toBe(answer);
        answers.set(question, answer);
      }
      expect(answers.size).toBeGreaterThan(0);
    }
  });

  test("counts are those of the objects drawn", () => {
    for (const scene of scenes) {
      for (const { about, answer } of questionsAboutScene(scene)) {
        if (about === "count") expect(answer).toBe(countWords[scene.objects.length]);
      }
    }
  });
});

describe("questionOnlyFloor", () => {
  test("is the share of the commonest answer to each question", () => {
    const turn = (question: string, answer: string) => ({ question, answer });
    expect(questionOnlyFloor([turn("a", "x"), turn("a", "x"), turn("a", "y"), turn("b", "z")])).toBe(0.75);
    expect(questionOnlyFloor([])).toBe(0);
  });

  test("is low for scenes: the image is needed", () => {
    const many = Array.from({ length: 3000 }, (_, i) =>
      askAboutScene(sampleScene(3, i), counterRandom(3, "ask").fork(i)),
    );
    for (const [about, limit] of [
      ["colour", 0.35],
      ["count", 0.5],
      ["shape", 0.35],
    ] as const) {
      expect(questionOnlyFloor(many.filter((question) => question.about === about)), about).toBeLessThan(limit);
    }
  });
});
