// Checks a tokenizer.json, which is untrusted: every field read is checked, only known patterns run, and unsupported settings
// are rejected by name, because a tokenizer that silently differs gives a model other ids than it was trained on.

import * as z from "zod";
import { ignored, parseConfig } from "../checkpoint/parse-config.ts";
import { ModelError, quote } from "../errors.ts";
import { type AddedToken, addedTokenSchema, type Complain, MAX_VOCABULARY, mergeAddedTokens } from "./added-tokens.ts";
import { byteCharacters } from "./byte-characters.ts";
import { checkPostProcessor, readNormalizer, readPreTokenizer } from "./text-steps.ts";

export const TOKENIZER_CONFIG = "tokenizer_config.json";

/** GPT-4o's has 446,189; Qwen3's 151,387. */
const MAX_MERGES = 1_000_000;

const flag = z.boolean().default(false);

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  normalizer: ignored,
  pre_tokenizer: ignored,
  decoder: z.looseObject({ type: z.literal("ByteLevel") }),
  post_processor: ignored,
  model: z.looseObject({
    // Before 2021 files did not say so.
    type: z.literal("BPE").default("BPE"),
    dropout: z.literal(0).nullish(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.literal("").nullish(),
    end_of_word_suffix: z.literal("").nullish(),
    fuse_unk: flag,
    byte_fallback: z.literal(false).default(false),
    ignore_merges: flag,
    vocab: z.unknown(),
    merges: z.unknown(),
  }),
});

/** A tokenizer's checked contents. */
export interface TokenizerDefinition {
  /** In the library's form, without the added tokens that AddedTokens finds. */
  readonly json: object;
  readonly added: readonly AddedToken[];
  /** Added tokens matched in normalized text, by the library. */
  readonly normalized: readonly AddedToken[];
  /** The largest id. */
  readonly maxId: number;
  /** Maximum bytes of one token. */
  readonly longestToken: number;
}

/**
 * Checks a parsed tokenizer.json, and adds the tokens of `decoder` (`added_tokens_decoder` of tokenizer_config.json) that it
 * lacks, as transformers does. Throws a ModelError that begins with the name of the file.
 */
export function readTokenizer(value: unknown, file: string, decoder: unknown = undefined): TokenizerDefinition {
  const json = parseConfig(tokenizerSchema, value, file);
  const complain = (what: string) => new ModelError(`${file}: ${what}`);
  const normalizer = readNormalizer(json.normalizer, file);
  const pre_tokenizer = readPreTokenizer(json.pre_tokenizer, file);
  checkPostProcessor(json.post_processor, file);
  const vocabulary = checkVocabulary(json.model.vocab, complain);
  checkMerges(json.model.merges, vocabulary, complain);
  const { unk_token } = json.model;
  if (unk_token != null && !vocabulary.has(unk_token))
    throw complain(`model.unk_token ${quote(unk_token)} is not in its vocabulary`);
  const missing = unk_token == null && byteCharacters.find((character) => !vocabulary.has(character));
  if (missing)
    throw complain(`the vocabulary lacks ${quote(missing)}, one of the 256 bytes of which all text consists`);
  const added = mergeAddedTokens(json.added_tokens, decoder, TOKENIZER_CONFIG, complain);
  const isStripped = (token: AddedToken) => token.lstrip || token.rstrip;
  const normalized = added.filter((token) => token.normalized && !token.special && !isStripped(token));
  const stripped = added.find((token) => token.normalized && !token.special && isStripped(token));
  if (normalizer && stripped)
    throw complain(
      `the added token ${quote(stripped.content)} is both normalized and stripped, which is not supported`,
    );
  return {
    json: { ...json, normalizer, pre_tokenizer, post_processor: null, added_tokens: normalized },
    added,
    normalized,
    maxId: largest([...vocabulary.values(), ...added.map((token) => token.id)]),
    longestToken: largest([
      ...Array.from(vocabulary.keys(), (token) => token.length),
      ...added.map(({ content }) => 3 * content.length),
    ]),
  };
}

/** The maximum of any number of values: Math.max overflows the stack at some 120,000 arguments, fewer than Qwen3's vocabulary. */
function largest(values: readonly number[]): number {
  return values.reduce((max, value) => (value > max ? value : max), 0);
}

function checkVocabulary(vocab: unknown, complain: Complain): ReadonlyMap<string, number> {
  if (typeof vocab !== "object" || vocab === null || Array.isArray(vocab))
    throw complain("model.vocab is missing; expected a table of tokens and their ids");
  const entries: [string, unknown][] = Object.entries(vocab);
  if (entries.length > MAX_VOCABULARY)
    throw complain(`model.vocab has ${entries.length} tokens, at most ${MAX_VOCABULARY} are read`);
  const seen = new Set<number>();
  const vocabulary = new Map<string, number>();
  for (const [token, id] of entries) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= MAX_VOCABULARY)
      throw complain(
        `model.vocab: the id of ${quote(token)} is ${quote(id)}, expected an integer from 0 to ${MAX_VOCABULARY - 1}`,
      );
    if (seen.has(id)) throw complain(`model.vocab: ${quote(token)} has the id ${id} of another token`);
    seen.add(id);
    vocabulary.set(token, id);
  }
  return vocabulary;
}

function checkMerges(merges: unknown, vocabulary: ReadonlyMap<string, number>, complain: Complain): void {
  if (!Array.isArray(merges)) throw complain("model.merges is missing; expected a list of pairs of tokens");
  if (merges.length > MAX_MERGES)
    throw complain(`model.merges has ${merges.length} pairs, at most ${MAX_MERGES} are read`);
  // The library decides by the first entry whether all are pairs or strings.
  const isText = typeof merges[0] === "string";
  merges.forEach((merge: unknown, i) => {
    const pair: unknown = isText && typeof merge === "string" ? merge.split(" ") : merge;
    if (!isPair(pair)) throw complain(`model.merges[${i}] is ${quote(merge)}, expected a pair of tokens`);
    const [left, right] = pair;
    if (vocabulary.has(left) && vocabulary.has(right) && vocabulary.has(left + right)) return;
    const foreign = [left, right, left + right].find((token) => !vocabulary.has(token));
    throw complain(`model.merges[${i}]: ${quote(foreign)} is not in the vocabulary`);
  });
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && typeof value[1] === "string";
}
