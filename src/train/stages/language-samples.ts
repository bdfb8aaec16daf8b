// Samples of the language model during training: held-out images, questions about them, and its greedy answers.

import { writeFile } from "node:fs/promises";
import { InputError } from "../../errors.ts";
import type { EvalModel } from "../../eval/eval-model.ts";
import type { Suite } from "../../eval/suite.ts";
import { lettering } from "../../eval/suites/lettering.ts";
import { naming } from "../../eval/suites/naming.ts";
import { scenes } from "../../eval/suites/scenes.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { generate } from "../../llm/generate.ts";
import type { LanguageModel } from "../../llm/language-model.ts";
import { expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import type { TextTokenizer } from "../../text/tokenizer.ts";
import type { BatchTokenizer } from "../batch-tokenizer.ts";
import type { Sample } from "../data/corpus.ts";
import { fitSquare } from "../data/fit-square.ts";
import type { SampleKind } from "../data/mix.ts";
import { type RowWriter, turnsAbout } from "../data/rows.ts";
import type { Samples } from "../data/samples.ts";

export interface AnsweringParts {
  readonly samples: Samples;
  /** Reads one image at a time. */
  readonly tokenizer: BatchTokenizer;
  readonly writer: RowWriter;
  readonly text: TextTokenizer;
  /** The kinds of images that the run asks about. */
  readonly kinds: readonly SampleKind[];
  readonly cacheFolder: string;
  /** Maximum tokens of a row. */
  readonly length: number;
}

/** Suites of `kelix eval` by the kind of image they ask about, and items per part of a suite. */
const suites: Partial<Record<SampleKind, Readonly<Record<string, Suite>>>> = {
  emoji: { naming },
  scene: { scenes },
  lettering: { lettering },
};
const LIMIT = 48;
/** Questions of a run's own data. */
const OWN_QUESTIONS = 96;
const MAX_ANSWER = 24;

/**
 * Runs suites of `kelix eval` on fewer items, and questions about the run's own data; writes some questions and answers as a Markdown
 * table. Returns the suites' measures by name ("scenes.open"), and the share of own questions answered correctly.
 */
export async function showAnswers(
  model: LanguageModel,
  parts: AnsweringParts,
  path: string,
): Promise<Record<string, number>> {
  const { samples, kinds, cacheFolder } = parts;
  const right: Record<string, number> = {};
  const lines = ["| question | wanted | answer | |", "|---|---|---|---|"];
  const asked = (cells: readonly string[], isRight: boolean | undefined) =>
    lines.push(`| ${cells.join(" | ")} | ${isRight ? "✓" : ""} |`);
  const ask = (image: RgbImage, question: string) => answer(model, parts, image, question);
  const context = {
    model: answering(ask),
    limit: LIMIT,
    seed: 0,
    seeds: 1,
    cacheFolder,
    step: () => {},
    log: () => {},
  };
  for (const [name, suite] of kinds.flatMap((kind) => Object.entries(suites[kind] ?? {}))) {
    const result = await suite.run(context);
    for (const [measure, { value }] of Object.entries(result.measures)) right[`${name}.${measure}`] = value;
    for (const { images, text, isRight } of result.samples) asked([name, images[0]?.label ?? "", text], isRight);
  }
  if (samples.own) {
    const questions = await ownQuestions(parts, 0, OWN_QUESTIONS);
    let correct = 0;
    for (const { image, describe } of questions) {
      const said = await ask(image, describe.question);
      if (said === describe.answer) correct++;
      asked([describe.question, describe.answer, said], said === describe.answer);
    }
    if (questions.length > 0) right.ownRight = correct / questions.length;
  }
  await writeFile(path, `${lines.join("\n")}\n`);
  return right;
}

/** A model that can only answer, which is all these suites need. */
function answering(ask: EvalModel["ask"]): EvalModel {
  const cannot = () => Promise.reject(new InputError("a language model alone cannot draw images"));
  return { ask, codebooks: 0, codesPerBook: 0, tokenize: cannot, reconstruct: cannot, imagine: cannot, edit: cannot };
}

/** Questions from a run's own data, held-out ones if there are any; none if no example asks about one image. */
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

/** The greedy answer to a question about an image. */
async function answer(
  model: LanguageModel,
  { samples, tokenizer, writer, text }: AnsweringParts,
  image: RgbImage,
  question: string,
): Promise<string> {
  const codes = await tokenizer.codes([fitSquare(image, samples.corpus.side)]);
  const row = writer.understanding([{ question, answer: "" }], Number.POSITIVE_INFINITY);
  const asked = Int32Array.from(row.ids.slice(0, row.isAnswer.indexOf(true)));
  const prompt = expandRow(asked, idsFromCodes(codes, model.vocabulary), model.vocabulary);
  const ids: number[] = [];
  const blocks = generate(model, model.start(), prompt, { maxNewBlocks: MAX_ANSWER, temperature: 0, mayDraw: false });
  for await (const block of blocks) ids.push(block.ids[0]!);
  return text.decode(ids).trim();
}
