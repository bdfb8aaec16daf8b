import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { fade, PLAIN_VIEW, renderView, sampleView } from "./augment.ts";
import { type Concept, findIcon } from "./concept-icons.ts";
import { conceptNames, withArticle } from "./concepts.ts";
import type { LoadedSet } from "./icon-sets.ts";

describe("the table of concepts", () => {
  test("has each name and each label once", () => {
    const names = conceptNames();
    expect(new Set(names.map(({ name }) => name)).size).toBe(names.length);
    expect(new Set(names.map(({ label }) => label)).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(450);
  });

  test("captions take the article that is spoken", () => {
    expect(["apple", "unicorn", "hourglass", "red apple", "owl"].map(withArticle)).toEqual([
      "an apple",
      "a unicorn",
      "an hourglass",
      "a red apple",
      "an owl",
    ]);
    expect(conceptNames().find(({ name }) => name === "grapes")?.caption).toBe("grapes");
  });
});

describe("findIcon", () => {
  const set = (style: string, names: readonly string[], characters: Record<string, string> = {}): LoadedSet => ({
    style,
    version: "1",
    license: { title: "", author: "", url: "" },
    names,
    characters: new Map(Object.entries(characters)),
    has: (name) => names.includes(name),
    svg: () => undefined,
  });
  const concept = (label: string, hexcode: string): Concept => ({ label, name: label, caption: label, hexcode });
  const labels = new Set(["dog", "dog face", "lion", "red apple"]);

  test("goes by the code point where the set lists them, with or without the variation selector", () => {
    const listed = set("noto", ["apple", "sun-icon"], { "1f34e": "apple", "2600-fe0f": "sun-icon" });
    expect(findIcon(concept("red apple", "1F34E"), listed, labels)).toBe("apple");
    expect(findIcon(concept("sun", "2600"), listed, labels)).toBe("sun-icon");
    expect(findIcon(concept("apple", "1F34F"), listed, labels)).toBeUndefined();
  });

  test("goes by the name elsewhere, and takes no other concept's icon", () => {
    const named = set("emojione", ["red-apple", "lion-face", "dog-face"]);
    expect(findIcon(concept("red apple", "1F34E"), named, labels)).toBe("red-apple");
    expect(findIcon(concept("lion", "1F981"), named, labels)).toBe("lion-face");
    expect(findIcon(concept("dog", "1F415"), named, labels)).toBeUndefined();
  });

  test("knows what fxemoji calls a dog's face and a dog", () => {
    const fx = set("fxemoji", ["dog", "dogside"]);
    expect(findIcon(concept("dog face", "1F436"), fx, labels)).toBe("dog");
    expect(findIcon(concept("dog", "1F415"), fx, labels)).toBe("dogside");
  });
});

describe("renderView", () => {
  const side = 24;
  const rgba = new Uint8Array(side * side * 4).fill(255).map((_, i) => (i % 4 === 0 ? 200 : i % 4 === 3 ? 255 : 40));

  test("leaves an image as it is at full size", () => {
    const { data } = renderView(rgba, side, { ...PLAIN_VIEW, scaleX: 1, scaleY: 1 });
    expect([...data].every((value, i) => value === (i % 3 === 0 ? 200 : 40))).toBe(true);
  });

  test("shows only the background through transparent pixels, whatever their colour", () => {
    const clear = rgba.map((value, i) => (i % 4 === 3 ? 0 : value));
    const { data } = renderView(clear, side, { ...PLAIN_VIEW, background: [10, 20, 30], offset: 8 });
    expect([...data.subarray(0, 3)]).toEqual([10, 20, 30]);
    expect(new Set(data)).toEqual(new Set([10, 20, 30]));
  });

  test("keeps an unturned drawing inside the frame", () => {
    for (let i = 0; i < 50; i++) {
      const view = { ...sampleView(side, counterRandom(4).fork(i)), angle: 0 };
      expect(Math.abs(view.shiftX) + (view.scaleX * side) / 2).toBeLessThanOrEqual(side / 2 + 1e-9);
      expect(Math.abs(view.shiftY) + (view.scaleY * side) / 2).toBeLessThanOrEqual(side / 2 + 1e-9);
    }
  });

  test("greys and strengthens colours around their mean", () => {
    const plain = { ...PLAIN_VIEW, scaleX: 1, scaleY: 1 };
    const grey = renderView(rgba, side, { ...plain, saturation: 0 }).data;
    expect(new Set(grey)).toEqual(new Set([93])); // (200 + 40 + 40) / 3
    expect(renderView(rgba, side, { ...plain, saturation: 1.2 }).data[0]).toBe(221);
  });
});

describe("fade", () => {
  test("mixes two drawings by share and opacity", () => {
    const own = new Uint8Array([100, 0, 0, 255, 100, 0, 0, 255, 9, 9, 9, 0]);
    const other = new Uint8Array([200, 0, 0, 255, 50, 50, 50, 0, 9, 9, 9, 0]);
    expect([...fade(own, other, 0.25)]).toEqual([125, 0, 0, 255, 100, 0, 0, 191, 0, 0, 0, 0]);
  });
});
