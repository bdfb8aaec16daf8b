// A tokenizer.json's steps before and after BPE (`normalizer`, `pre_tokenizer`, `post_processor`), checked and converted to the form
// in which our library matches the reference's. Settings that it handles differently are rejected by name.

import * as z from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";
import { ModelError, quote } from "../errors.ts";
import { gpt2Pattern, knownPatterns } from "./known-patterns.ts";

/** No real tokenizer has more steps. */
const MAX_STEPS = 8;
const MAX_SEPARATOR = 200;

const flag = z.boolean().default(false);
const stepOf = <const T extends readonly string[]>(types: T) => z.looseObject({ type: z.enum(types) });

const normalizer = stepOf(["NFC", "NFD", "NFKC", "NFKD"]);

const preTokenizer = stepOf(["Split", "ByteLevel"]);
const split = z.looseObject({
  pattern: z.strictObject({ Regex: z.string().optional(), String: z.string().min(1).max(MAX_SEPARATOR).optional() }),
  behavior: z.enum(["Isolated", "Removed"]),
  invert: flag,
});
const byteLevel = z.looseObject({ add_prefix_space: flag, use_regex: z.boolean().default(true) });

const postProcessor = stepOf(["ByteLevel"]);

/** `normalizer` in the library's form. Throws a ModelError that names the file and the field. */
export function readNormalizer(value: unknown, file: string): object | null {
  if (value == null) return null;
  const normalizers = readSequence(normalizer, value, file, "normalizer", "normalizers").map(({ step }) => step);
  return { type: "Sequence", normalizers };
}

/** `pre_tokenizer` in the library's form: splits by known patterns, then bytes as characters. */
export function readPreTokenizer(value: unknown, file: string): object {
  const steps = readSequence(preTokenizer, value, file, "pre_tokenizer", "pretokenizers");
  const last = steps.at(-1);
  if (last?.step.type !== "ByteLevel" || steps.filter(({ step }) => step.type === "ByteLevel").length > 1) {
    throw unsupported(
      `${file}: pre_tokenizer must have ByteLevel exactly once, at the end: only byte-level vocabularies are supported`,
    );
  }
  const pretokenizers = steps.flatMap(({ step, at }) =>
    step.type === "Split" ? [readSplit(step, at)] : readByteLevel(step, at),
  );
  return { type: "Sequence", pretokenizers };
}

/** `post_processor` adds nothing to a prompt: the chat template writes all of it. */
export function checkPostProcessor(value: unknown, file: string): void {
  if (value != null) readSequence(postProcessor, value, file, "post_processor", "processors");
}

function readSplit(step: unknown, at: string): object {
  const { pattern, behavior, invert } = parseConfig(split, step, at);
  const { Regex, String: separator } = pattern;
  if ((Regex === undefined) === (separator === undefined)) {
    throw new ModelError(`${at}: pattern must have either a Regex or a String`);
  }
  if (Regex !== undefined && !knownPatterns.has(Regex)) {
    const known = [...knownPatterns.values()].join("; ");
    throw unsupported(`${at}: the pattern ${quote(Regex)} is not supported: only those of ${known}`);
  }
  // The known patterns match all text, so there is nothing between two matches.
  if (behavior === "Removed" && !(invert && Regex !== undefined)) {
    throw unsupported(`${at}: a Split that removes ${quote(Regex ?? separator)} is not supported`);
  }
  // Isolated pieces are the same, inverted or not; the library would drop some.
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}

function readByteLevel(step: unknown, at: string): object[] {
  const { add_prefix_space, use_regex } = parseConfig(byteLevel, step, at);
  const bytes = { type: "ByteLevel", add_prefix_space, use_regex: false };
  if (!use_regex) return [bytes];
  if (add_prefix_space) throw unsupported(`${at}: add_prefix_space with use_regex is not supported`);
  // The library's own pattern uses JavaScript's white space instead of Unicode's.
  return [{ type: "Split", pattern: { Regex: gpt2Pattern }, behavior: "Isolated", invert: false }, bytes];
}

/** The steps of a single step or a Sequence, each with its path for messages. */
function readSequence<T extends string>(
  schema: z.ZodType<{ readonly type: T }>,
  value: unknown,
  file: string,
  field: string,
  list: string,
): { readonly step: { readonly type: T }; readonly at: string }[] {
  const at = `${file}: ${field}`;
  if ((value as { type?: unknown } | null)?.type !== "Sequence") return [{ step: parseConfig(schema, value, at), at }];
  const sequence = z.looseObject({ [list]: z.array(z.unknown()).max(MAX_STEPS) });
  const steps = parseConfig(sequence, value, at)[list] as readonly unknown[];
  return steps.map((step, i) => ({
    step: parseConfig(schema, step, `${at}.${list}[${i}]`),
    at: `${at}.${list}[${i}]`,
  }));
}

function unsupported(message: string): ModelError {
  return new ModelError(message, { code: "unsupported_model" });
}
