// Conversations and images that one Kelix writes at the same time, with kelix-nano: each gets what it gets alone.

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DrawnImage, Kelix } from "../src/index.ts";
import { LanguageModel } from "../src/llm/language-model.ts";

let kelix: Kelix;
let alone: Kelix;
beforeAll(async () => {
  [kelix, alone] = await Promise.all([
    Kelix.load("kelix-nano", { threads: 1 }),
    Kelix.load("kelix-nano", { threads: 1 }),
  ]);
});
afterAll(() => Promise.all([kelix?.dispose(), alone?.dispose()]));

const about = (image: string, text = "What is this?") => [
  {
    role: "user",
    content: [{ type: "image", image: `data/heldout/demo/${image}` } as const, { type: "text", text } as const],
  } as const,
];

function expectSame(found: DrawnImage, wanted: DrawnImage): void {
  expect([...found.codes.codes]).toEqual([...wanted.codes.codes]);
  const differences = found.data.map((level, i) => Math.abs(level - wanted.data[i]!));
  expect(Math.max(...differences)).toBeLessThanOrEqual(1);
}

test("answers and images are the same as one after the other, though another is cancelled meanwhile", async () => {
  const texts = [
    { image: "rocket.png", seed: 1, temperature: 0 },
    { image: "rocket.png", seed: 2, temperature: 1 },
    { image: "umbrella.png", seed: 3, temperature: 0.7 },
  ];
  const prompts = ["two red circles", "a blue square", "two red circles"];
  const drawn = { steps: 4 };
  const chat = (one: Kelix, { image, ...options }: (typeof texts)[number]) =>
    one.chat(about(image), { maxNewTokens: 20, ...options }).result();
  const session = vi.spyOn(LanguageModel.prototype, "session");
  const controller = new AbortController();
  const leaving = kelix.imagine("a green tree", {
    signal: controller.signal,
    onProgress: ({ done }) => done >= 5 && controller.abort(new Error("left")),
  });
  const [answers, images, left] = await Promise.all([
    Promise.all(texts.map((one) => chat(kelix, one))),
    Promise.all(prompts.map((prompt, seed) => kelix.imagine(prompt, { ...drawn, seed }))),
    leaving.catch((error: unknown) => error),
  ]);
  const runsTogether = session.mock.calls.length;
  expect(left).toEqual(new Error("left"));
  session.mockClear();
  for (const [i, one] of texts.entries()) {
    const { text, finishReason } = await chat(alone, one);
    expect(answers[i]).toMatchObject({ text, finishReason });
  }
  for (const [seed, prompt] of prompts.entries()) {
    const [wanted] = await alone.imagine(prompt, { ...drawn, seed });
    expectSame(images[seed]![0]!, wanted!);
  }
  expect(runsTogether).toBeLessThan(0.7 * session.mock.calls.length); // they shared runs
  session.mockRestore();
});
