import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodePng } from "../../image/codec.node.ts";
import { blankImage } from "../../train/data/shapes.ts";
import type { EvalModel } from "../eval-model.ts";
import { askChoice, parseVqaRows, readChoice, scoreVqa, vqa } from "./vqa.ts";

const colours = ["red", "green", "blue"];

describe("vqa", () => {
  test("reads rows of one or several answers and of choices", () => {
    const lines = [
      { image: "a.png", question: "What?", answer: "a cat" },
      { image: "a.png", question: "How many?", answers: ["2", "two"] },
      { image: "a.png", question: "Which?", choices: colours, answer: "B" },
      { image: "a.png", question: "Which?", choices: colours, answer: 2 },
      { image: "a.png", question: "Which?", choices: colours, answer: "red" },
    ].map((row) => JSON.stringify(row));
    const rows = parseVqaRows(`${lines.join("\n")}\n`, "q.jsonl");
    expect(rows.map(({ answers }) => answers)).toEqual([["a cat"], ["2", "two"], ["green"], ["blue"], ["red"]]);
  });

  test.each([
    ["", "contains no questions"],
    ["{", "line 1: is not JSON"],
    ['{"image":"a.png","question":"What?"}', "expected `answer` or `answers`"],
    ['{"question":"What?","answer":"x"}', "line 1: image:"],
    ['{"image":"a.png","question":"?","choices":["a","b"],"answer":"C"}', 'the answer "C" is not one of the 2 choices'],
    [
      `{"image":"a.png","question":"?","choices":["a","b"],"answer":"${"C".repeat(3000)}"}`,
      /the answer "C{199}…" is not/,
    ],
  ])("says what is wrong with %j", (content, message) => {
    expect(() => parseVqaRows(content, "q.jsonl")).toThrow(message);
  });

  test("choices are asked for by letter and read in the ways that models answer", () => {
    expect(askChoice("Which?", colours)).toContain("B. green");
    for (const answer of ["B", "B.", "(B)", "b", "B. green", "green", "The answer is B.", "It is green."])
      expect(readChoice(answer, colours), answer).toBe("green");
    for (const answer of ["", "purple", "red or green"]) expect(readChoice(answer, colours), answer).toBeUndefined();
  });

  test("scores exact, contained, nearly spelled and chosen answers", () => {
    const open = { image: "", question: "What?" };
    const measures = scoreVqa([
      { ...open, answers: ["a cat"], answer: "Cat." },
      { ...open, answers: ["main street"], answer: "main stret" },
      { ...open, answers: ["dog"], answer: "I see a dog here" },
      { ...open, answers: ["dog"], answer: "nothing" },
      { ...open, answers: ["green"], choices: colours, answer: "B" },
      { ...open, answers: ["green"], choices: colours, answer: "A" },
    ]);
    expect(measures.exact).toMatchObject({ value: 0.25, n: 4, floors: { majority: 0.5, questionAlone: 0.5 } });
    expect(measures.contains!.value).toBe(0.5);
    expect(measures.anls!.value).toBeCloseTo(10 / 11 / 4);
    expect(measures.choice).toMatchObject({ value: 0.5, n: 2 });
    expect(measures.choice!.floors.chance).toBeCloseTo(1 / 3);
  });

  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kelix-vqa-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("finds images beside the file of questions", async () => {
    await writeFile(join(folder, "grey.png"), await encodePng(blankImage(8, [128, 128, 128])));
    const dataFile = join(folder, "q.jsonl");
    await writeFile(dataFile, `${JSON.stringify({ image: "grey.png", question: "Which colour?", answer: "grey" })}\n`);
    const model = {
      codebooks: 1,
      codesPerBook: 1,
      ask: async ({ data }: { readonly data: ArrayLike<number> }) => (data[0] === 128 ? "Grey" : "?"),
    } as unknown as EvalModel;
    const context = { model, seed: 0, seeds: 1, cacheFolder: "", step: () => {}, log: () => {}, dataFile };
    expect((await vqa.run(context)).measures.exact).toMatchObject({ value: 1, n: 1 });
  });
});
