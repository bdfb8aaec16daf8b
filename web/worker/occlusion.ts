// Where a word looked, by occlusion: each position of an image in turn gets the codes of a blank one, and the answer is scored again.
// What falls in log-probability is what the position said for the word.

import type { ChatMessage, CodesInput, Kelix } from "kelix";
import type { Codes, Occlusion } from "../backend/backend.ts";

/** As many scores are asked for together: the language model reads them in one batch. */
const TOGETHER = 6;

/** Scores of the answer's tokens without each position. codes: P positions -> drops [P][tokens]. */
export async function occlude(
  kelix: Kelix,
  codes: Codes,
  question: string,
  answer: string,
  signal: AbortSignal,
): Promise<Occlusion> {
  const [rows, columns] = codes.grid;
  const N = codes.codes.length / (rows * columns);
  const blank = await blankCodes(kelix, codes, N, signal);
  const score = async (own: readonly number[]) =>
    kelix.score(conversation({ ...codes, codes: own }, question, answer), { signal });
  const whole = await score(codes.codes);
  const drops: number[][] = [];
  for (let from = 0; from < rows * columns; from += TOGETHER) {
    const positions = Array.from({ length: Math.min(TOGETHER, rows * columns - from) }, (_, i) => from + i);
    const scores = await Promise.all(positions.map((at) => score(withPosition(codes.codes, at, blank))));
    for (const one of scores) drops.push(one.map(({ logprob }, i) => whole[i]!.logprob - logprob));
  }
  return { tokens: whole.map(({ text }) => text ?? ""), drops };
}

/** The codes of one position: those of the middle of a white image of the same size. */
async function blankCodes(
  kelix: Kelix,
  { width = 96, height = 96 }: Codes,
  N: number,
  signal: AbortSignal,
): Promise<number[]> {
  const white = { width, height, data: new Uint8Array(width * height * 3).fill(255) };
  const { grid, codes } = await kelix.tokenize(white, { signal });
  const middle = Math.floor(grid[0] / 2) * grid[1] + Math.floor(grid[1] / 2);
  return [...codes.subarray(middle * N, (middle + 1) * N)];
}

function withPosition(codes: readonly number[], position: number, own: readonly number[]): number[] {
  const changed = [...codes];
  changed.splice(position * own.length, own.length, ...own);
  return changed;
}

function conversation(codes: Codes, question: string, answer: string): ChatMessage[] {
  const content = [{ type: "image", image: codes as CodesInput } as const, { type: "text", text: question } as const];
  return [
    { role: "user", content },
    { role: "assistant", content: answer },
  ];
}
