// Text about images of lettering: questions, answers, and requests.

import type { CounterRandom } from "../../random/counter.ts";
import type { Lettering } from "./lettering.ts";
import { asTyped } from "./phrasing.ts";
import type { Turn } from "./scene-text.ts";

export const readQuestions = [
  "What does it say?",
  "What is written here?",
  "Read the text.",
  "What does the text say?",
  "Read it.",
  "What does the picture say?",
  "Which letters are these?",
  "What word is this?",
] as const;

/** Lines are read from top to bottom, separated by spaces. */
export function wordsForLettering(
  { lines, colour }: Lettering,
  random: CounterRandom,
): { caption: string; describe: Turn; prompt: string } {
  const draw = random.sequence();
  const text = lines.join(" ");
  const ink = draw.uniform() < 0.4 ? `${colour} ` : "";
  const prompt = draw.pick([
    `the word "${text}"`,
    `"${text}" in ${ink}letters`,
    `${ink}letters that say "${text}"`,
    `Write "${text}".`,
    `Please write "${text}".`,
    `the text "${text}"`,
    `an image that says "${text}"`,
    `a sign with "${text}" in ${ink}letters`,
  ]);
  return {
    caption: text,
    describe: { question: asTyped(draw.pick(readQuestions), random.fork("question")), answer: text },
    prompt: asTyped(prompt, random.fork("prompt")),
  };
}
