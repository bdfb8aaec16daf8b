// vqa: the user's own questions about images, one JSON object per line: {"image", "question", "answer"}, or "answers" if several
// are right, and "choices" for multiple choice. Image paths are relative to the file's folder.

import { dirname, resolve } from "node:path";
import { z } from "zod";
import { InputError, quote } from "../../errors.ts";
import { readInput } from "../../files/input.ts";
import { loadImage } from "../../image/image-source.node.ts";
import { anls, containsAnswer, isSameAnswer, majority, plainAnswer, questionFloor } from "../answers.ts";
import { type Measure, meanShareOf, shareOf } from "../measure.ts";
import { itemCount, MOST_SAMPLES, type Sample, type Suite, spread } from "../suite.ts";

const MAX_FILE_BYTES = 500_000_000;
const ANSWER_TOKENS = 64;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const text = z.string().min(1);
const rowSchema = z
  .object({
    image: text,
    question: text,
    /** The right answer; for a choice its text, its letter or its index from 0. */
    answer: z.union([text, z.int().min(0)]).optional(),
    answers: z.array(text).min(1).optional(),
    choices: z.array(text).min(2).max(LETTERS.length).optional(),
  })
  .refine(({ answer, answers }) => answer !== undefined || answers !== undefined, {
    error: "expected `answer` or `answers`",
  });

export interface VqaRow {
  readonly image: string;
  readonly question: string;
  /** Any of these is right. */
  readonly answers: readonly string[];
  readonly choices?: readonly string[];
}

/** Rows of a JSON Lines file. Throws an InputError that names the line. */
export function parseVqaRows(content: string, name: string): VqaRow[] {
  const rows: VqaRow[] = [];
  for (const [i, line] of content.split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `${name}, line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new InputError(`${where}: is not JSON; expected one object per line`, { cause });
    }
    const { success, data, error } = rowSchema.safeParse(value);
    if (!success) {
      const [issue] = error.issues;
      const path = issue!.path.length > 0 ? `${issue!.path.join(".")}: ` : "";
      throw new InputError(`${where}: ${path}${issue!.message}`);
    }
    const { image, question, answer, answers = [], choices } = data;
    const given = [...(answer === undefined ? [] : [answer]), ...answers];
    if (!choices) rows.push({ image, question, answers: given.map(String) });
    else rows.push({ image, question, choices, answers: given.map((one) => choiceOf(one, choices, where)) });
  }
  if (rows.length === 0) throw new InputError(`${name}: contains no questions`);
  return rows;
}

function choiceOf(answer: string | number, choices: readonly string[], where: string): string {
  const found =
    typeof answer === "number"
      ? choices[answer]
      : (choices.find((choice) => choice === answer) ??
        (answer.length === 1 ? choices[LETTERS.indexOf(answer)] : undefined));
  if (found === undefined)
    throw new InputError(`${where}: the answer ${quote(answer)} is not one of the ${choices.length} choices`);
  return found;
}

/** The question with lettered choices. */
export function askChoice(question: string, choices: readonly string[]): string {
  const lines = choices.map((choice, i) => `${LETTERS[i]}. ${choice}`);
  return `${question}\n${lines.join("\n")}\nAnswer with the letter of the right choice.`;
}

/** The choice named by an answer, by letter or text; undefined if it names none or several. */
export function readChoice(answer: string, choices: readonly string[]): string | undefined {
  const same = choices.filter((choice) => isSameAnswer(answer, choice));
  if (same.length === 1) return same[0];
  const [, letter] =
    /^\W*([A-Z])(?:\W|$)/.exec(answer.trim()) ?? /\b(?:answer|choice|option) is \(?([A-Z])\b/.exec(answer) ?? [];
  if (letter !== undefined) return choices[LETTERS.indexOf(letter)];
  if (/^[a-z]$/.test(plainAnswer(answer))) return choices[LETTERS.toLowerCase().indexOf(plainAnswer(answer))];
  const named = choices.filter((choice) => containsAnswer(answer, choice));
  return named.length === 1 ? named[0] : undefined;
}

interface Answered extends VqaRow {
  readonly answer: string;
}

export const vqa: Suite = {
  about: "answers questions from a file (--data): exact, contains, choice, ANLS",
  async run(context) {
    const { dataFile } = context;
    if (dataFile === undefined)
      throw new InputError("vqa needs --data FILE with one {image, question, answer} per line", {
        code: "invalid_option",
      });
    const bytes = await readInput(dataFile, { maxBytes: MAX_FILE_BYTES, code: "invalid_input" });
    const all = parseVqaRows(new TextDecoder().decode(bytes), dataFile);
    const rows = spread(all, itemCount(context, all.length));
    const items: Answered[] = [];
    const samples: Sample[] = [];
    for (const [i, row] of rows.entries()) {
      context.step("vqa", i, rows.length);
      const isAddress = /^(https?|data|file):/i.test(row.image);
      const image = await loadImage(isAddress ? row.image : resolve(dirname(dataFile), row.image));
      const question = row.choices ? askChoice(row.question, row.choices) : row.question;
      const answer = await context.model.ask(image, question, ANSWER_TOKENS);
      items.push({ ...row, answer });
      samples.push({
        images: [{ label: row.question, image }],
        text: `${answer} (${row.answers.join(" / ")})`,
        isRight: row.choices ? isChosen({ ...row, answer }) : row.answers.some((right) => isSameAnswer(answer, right)),
      });
    }
    return { measures: scoreVqa(items), details: [], samples: spread(samples, MOST_SAMPLES) };
  },
};

function isChosen({ answer, answers, choices }: Answered): boolean {
  const chosen = readChoice(answer, choices!);
  return chosen !== undefined && answers.includes(chosen);
}

/** `choice` over the rows with choices; `exact`, `contains` and `anls` over the others. */
export function scoreVqa(items: readonly Answered[]): Record<string, Measure> {
  const choice = items.filter(({ choices }) => choices !== undefined);
  const open = items.filter(({ choices }) => choices === undefined);
  const measures: Record<string, Measure> = {};
  if (open.length > 0) {
    const firsts = open.map(({ question, answers }) => ({ question, answer: plainAnswer(answers[0]!) }));
    const floors = {
      questionAlone: questionFloor(firsts),
      majority: majority(firsts.map(({ answer }) => answer)),
    };
    const share = (isRight: (answer: string, right: string) => boolean) =>
      shareOf(
        open.map(({ answer, answers }) => answers.some((right) => isRight(answer, right))),
        floors,
      );
    measures.exact = share(isSameAnswer);
    measures.contains = share(containsAnswer);
    measures.anls = meanShareOf(
      open.map(({ answer, answers }) => anls(answer, answers)),
      floors,
    );
  }
  if (choice.length > 0) {
    const chance = choice.reduce((sum, { choices }) => sum + 1 / choices!.length, 0) / choice.length;
    const places = choice.map(({ choices, answers }) => String(choices!.indexOf(answers[0]!)));
    measures.choice = shareOf(choice.map(isChosen), { chance, majority: majority(places) });
  }
  return measures;
}
