// What the language model says while it trains: held-out images, questions about them, and its answers by greedy decoding.

import { writeFile } from "node:fs/promises";
import { InputError } from "../../errors.ts";
import { generate } from "../../llm/generate.ts";
import type { LanguageModel } from "../../llm/language-model.ts";
import { expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import type { BlockIds } from "../../sequence/layout.ts";
import type { TextTokenizer } from "../../text/tokenizer.ts";
import type { BatchTokenizer } from "../batch-tokenizer.ts";
import type { Sample } from "../data/corpus.ts";
import { heldOutQuestions, questionKindsOf, take } from "../data/held-out-questions.ts";
import { type RowWriter, turnsAbout } from "../data/rows.ts";
import type { Samples } from "../data/samples.ts";

export interface AnsweringParts {
  readonly samples: Samples;
  readonly tokenizer: BatchTokenizer;
  readonly writer: RowWriter;
  readonly text: TextTokenizer;
  /** Images that the tokenizer reads at a time, and tokens of a row at most. */
  readonly batch: number;
  readonly length: number;
}

/** Batches of images for each kind of question. */
const BATCHES = 4;
const MAX_ANSWER = 24;

/** Asks about held-out images, writes questions and answers as a Markdown table, and returns the share of right ones by kind. */
export async function showAnswers(
  model: LanguageModel,
  parts: AnsweringParts,
  path: string,
): Promise<Record<string, number>> {
  const { samples, tokenizer, writer, batch } = parts;
  const right: Record<string, number> = {};
  const lines = ["| question | wanted | answer | |", "|---|---|---|---|"];
  for (const kind of [...questionKindsOf(samples.corpus), ...(samples.own ? (["own"] as const) : [])]) {
    const questions = kind === "own" ? undefined : heldOutQuestions(samples.corpus, kind);
    let [correct, asked] = [0, 0];
    for (let n = 0; n < BATCHES; n++) {
      const items = questions ? take(questions, batch) : await ownQuestions(parts, n * batch, batch);
      if (items.length === 0) break;
      asked += items.length;
      const codes = await tokenizer.codes(items.map(({ image }) => image));
      const perImage = codes.length / items.length;
      for (const [b, { describe }] of items.entries()) {
        const row = writer.understanding([describe], parts.length);
        const prompt = Int32Array.from(row.ids.slice(0, row.isAnswer.indexOf(true)));
        const imageIds = idsFromCodes(codes.subarray(b * perImage, (b + 1) * perImage), model.vocabulary);
        const answer = await decode(model, expandRow(prompt, imageIds, model.vocabulary), parts.text);
        const isRight = answer === describe.answer;
        if (isRight) correct++;
        lines.push(`| ${describe.question} | ${describe.answer} | ${answer} | ${isRight ? "✓" : ""} |`);
      }
    }
    if (asked > 0) right[`${kind}Right`] = correct / asked;
  }
  await writeFile(path, `${lines.join("\n")}\n`);
  return right;
}

/** Questions of a run's own data, those that are not trained on if there are any; none where its examples ask nothing about one image. */
async function ownQuestions(
  { samples, writer, length }: AnsweringParts,
  first: number,
  count: number,
): Promise<Sample[]> {
  const fits = (sample: Sample) => {
    writer.understanding(turnsAbout(sample, false).slice(0, 1), length);
  };
  const found: Sample[] = [];
  for (let i = first; i < first + count; i++) {
    const sample = await samples.draw("own", "heldOutStyle", 0, i, "question", fits).catch((error: unknown) => {
      if (error instanceof InputError) return undefined;
      throw error;
    });
    if (!sample) break;
    found.push(sample);
  }
  return found;
}

async function decode(model: LanguageModel, prompt: BlockIds, text: TextTokenizer): Promise<string> {
  const ids: number[] = [];
  const blocks = generate(model, model.start(), prompt, { maxNewBlocks: MAX_ANSWER, temperature: 0, mayDraw: false });
  for await (const block of blocks) ids.push(block.ids[0]!);
  return text.decode(ids).trim();
}
