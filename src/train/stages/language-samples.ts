// What the language model says while it trains: held-out images, questions about them, and its answers by greedy decoding.

import { writeFile } from "node:fs/promises";
import { generate } from "../../llm/generate.ts";
import type { LanguageModel } from "../../llm/language-model.ts";
import { expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import type { BlockIds } from "../../sequence/layout.ts";
import type { TextTokenizer } from "../../text/tokenizer.ts";
import type { BatchTokenizer } from "../batch-tokenizer.ts";
import type { Corpus } from "../data/corpus.ts";
import { heldOutQuestions, questionKinds, take } from "../data/held-out-questions.ts";
import type { RowWriter } from "../data/rows.ts";

export interface AnsweringParts {
  readonly corpus: Corpus;
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
  const { corpus, tokenizer, writer, batch } = parts;
  const right: Record<string, number> = {};
  const lines = ["| question | wanted | answer | |", "|---|---|---|---|"];
  for (const kind of questionKinds) {
    const questions = heldOutQuestions(corpus, kind);
    let correct = 0;
    for (let n = 0; n < BATCHES; n++) {
      const items = take(questions, batch);
      const codes = await tokenizer.codes(items.map(({ image }) => image));
      const perImage = codes.length / items.length;
      for (const [b, { describe }] of items.entries()) {
        const row = writer.understanding([describe], parts.length);
        const asked = Int32Array.from(row.ids.slice(0, row.isAnswer.indexOf(true)));
        const imageIds = idsFromCodes(codes.subarray(b * perImage, (b + 1) * perImage), model.vocabulary);
        const answer = await decode(model, expandRow(asked, imageIds, model.vocabulary), parts.text);
        const isRight = answer === describe.answer;
        if (isRight) correct++;
        lines.push(`| ${describe.question} | ${describe.answer} | ${answer} | ${isRight ? "✓" : ""} |`);
      }
    }
    right[`${kind}Right`] = correct / (BATCHES * batch);
  }
  await writeFile(path, `${lines.join("\n")}\n`);
  return right;
}

async function decode(model: LanguageModel, prompt: BlockIds, text: TextTokenizer): Promise<string> {
  const ids: number[] = [];
  const blocks = generate(model, model.start(), prompt, { maxNewBlocks: MAX_ANSWER, temperature: 0, mayDraw: false });
  for await (const block of blocks) ids.push(block.ids[0]!);
  return text.decode(ids).trim();
}
