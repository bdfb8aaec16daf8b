import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import {
  ask,
  asTyped,
  describeQuestions,
  formsOf,
  inSmallLetters,
  request,
  requestForms,
  unwrapRequest,
} from "./phrasing.ts";
import { isThere, questionsAboutScene } from "./scene-text.ts";
import { sampleScene } from "./scenes.ts";

const scenes = Array.from({ length: 200 }, (_, i) => sampleScene(4, i));

describe("formsOf", () => {
  test("gives every question about a scene at least eight forms, all different", () => {
    for (const [i, scene] of scenes.entries()) {
      for (const { question } of [...questionsAboutScene(scene), isThere(scene, counterRandom(2).fork(i))]) {
        const forms = formsOf(question);
        expect(new Set(forms).size, question).toBeGreaterThanOrEqual(8);
        for (const form of forms) expect(form, question).not.toMatch(/\$\d|undefined/);
      }
    }
    expect(describeQuestions.length).toBeGreaterThanOrEqual(8);
    expect(requestForms.length).toBeGreaterThanOrEqual(8);
  });

  test("leaves the noun out only where all objects are alike", () => {
    expect(formsOf("What colour is the star?")).not.toContain("What colour is it?");
    expect(formsOf("What colour is the star?", true)).toContain("What colour is it?");
  });
});

describe("asTyped", () => {
  test("changes spelling, case and the end, never the letters between quotes", () => {
    const seen = Array.from({ length: 300 }, (_, i) => asTyped('Write "Qx" in one colour.', counterRandom(5).fork(i)));
    for (const text of seen) expect(text).toContain('"Qx"');
    expect(seen.some((text) => text.includes("color "))).toBe(false);
    for (const part of ["color", "colour", "WRITE", "write", "Write"]) {
      expect(
        seen.some((text) => text.includes(part)),
        part,
      ).toBe(true);
    }
    expect(seen.some((text) => !text.endsWith("."))).toBe(true);
  });

  test("is the same for the same random numbers", () => {
    const random = () => counterRandom(6).fork(3);
    expect(ask("What shape is it?", random())).toBe(ask("What shape is it?", random()));
  });
});

test("what is wanted is found again in every form of a request", () => {
  for (const form of requestForms) expect(unwrapRequest(form.replace("$", "a red apple"))).toBe("a red apple");
  for (let i = 0; i < 100; i++) {
    expect(unwrapRequest(request("two red circles", counterRandom(7).fork(i))).toLowerCase()).toBe("two red circles");
  }
});

test("yes and no are equally often right, and no is not given away by the words", () => {
  const asked = Array.from({ length: 1000 }, (_, i) => isThere(sampleScene(8, i), counterRandom(8).fork(i)));
  const yes = asked.filter(({ answer }) => answer === "yes").length;
  expect(yes).toBeGreaterThan(440);
  expect(yes).toBeLessThan(560);
  for (const [i, { question, answer }] of asked.entries()) {
    const [, colour, shape] = /^Is there an? (\w+) (\w+)\?$/.exec(question)!;
    const isDrawn = sampleScene(8, i).objects.some((object) => object.colour === colour && object.shape === shape);
    expect(answer).toBe(isDrawn ? "yes" : "no");
  }
});

test("small letters keep what stands in quotes", () => {
  expect(inSmallLetters('WRITE "AbC" IN RED LETTERS.')).toBe('write "AbC" in red letters.');
});
