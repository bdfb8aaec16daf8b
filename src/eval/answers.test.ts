import { describe, expect, test } from "vitest";
import { anls, containsAnswer, editDistance, isSameAnswer, majority, questionFloor } from "./answers.ts";

describe("answers", () => {
  test("case, article and a full stop make no difference, words do", () => {
    expect(isSameAnswer("A dog face.", "a dog face")).toBe(true);
    expect(isSameAnswer("dog face", "a dog face")).toBe(true);
    expect(isSameAnswer("a cat face", "a dog face")).toBe(false);
  });

  test("an answer contains whole words", () => {
    expect(containsAnswer("It is red, I think.", "red")).toBe(true);
    expect(containsAnswer("It is covered.", "red")).toBe(false);
    expect(containsAnswer("nothing", "")).toBe(false);
  });

  test("ANLS forgives slips and nothing below one half", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(anls("Main Street", ["main street", "other"])).toBe(1);
    expect(anls("main stret", ["main street"])).toBeCloseTo(10 / 11);
    expect(anls("cat", ["dog"])).toBe(0);
  });

  test("the question's floor knows the commonest answer to each question", () => {
    const items = [
      { question: "colour?", answer: "red" },
      { question: "colour?", answer: "red" },
      { question: "colour?", answer: "blue" },
      { question: "shape?", answer: "star" },
    ];
    expect(questionFloor(items)).toBe(0.75);
    expect(majority(items.map(({ answer }) => answer))).toBe(0.5);
  });
});
