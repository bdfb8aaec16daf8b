// What a tokenizer.json may say. It comes from strangers: every field that is read is checked, only known patterns run, and what
// is not supported is refused by name, because a tokenizer that differs in silence gives a model other ids than it was trained on.

import { z } from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";
import { ModelError, quote } from "../errors.ts";
import { byteCharacters } from "./byte-characters.ts";
import { knownPatterns } from "./known-patterns.ts";

/** Above any vocabulary of today, and the limit of a config's `vocab_size`. */
const MAX_VOCABULARY = 4_194_304;
/** Qwen3's has 151,387. */
const MAX_MERGES = 1_000_000;
const MAX_ADDED_TOKENS = 10_000;
const MAX_TOKEN_LENGTH = 200;

const id = z
  .int()
  .min(0)
  .max(MAX_VOCABULARY - 1);
const flag = z.boolean().default(false);
const ignored = z.unknown().optional();

const addedToken = z.looseObject({
  id,
  content: z.string().min(1).max(MAX_TOKEN_LENGTH),
  single_word: z.literal(false).default(false),
  lstrip: flag,
  rstrip: flag,
  normalized: z.boolean().optional(),
  special: flag,
});
/** A token beside the vocabulary, matched in text before it is split. */
export type AddedToken = z.infer<typeof addedToken>;

const pattern = z.union([
  z.strictObject({ String: z.string().min(1).max(MAX_TOKEN_LENGTH) }),
  z.strictObject({ Regex: z.enum([...knownPatterns.keys()]) }),
]);

const normalizer = z.looseObject({ type: z.enum(["NFC", "NFD", "NFKC", "NFKD"]) });
const normalizers = z.union([
  normalizer,
  z.looseObject({ type: z.literal("Sequence"), normalizers: z.array(normalizer).max(8) }),
]);

const split = z.discriminatedUnion("type", [
  z.looseObject({
    type: z.literal("Split"),
    pattern,
    behavior: z.enum(["Isolated", "Removed"]),
    invert: flag,
  }),
  z.looseObject({ type: z.literal("Digits"), individual_digits: flag }),
  z.looseObject({ type: z.literal("ByteLevel"), add_prefix_space: flag, use_regex: z.boolean().default(true) }),
]);
const preTokenizer = z.union([
  split,
  z.looseObject({ type: z.literal("Sequence"), pretokenizers: z.array(split).min(1).max(8) }),
]);

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(addedToken).max(MAX_ADDED_TOKENS).default([]),
  normalizer: normalizers.nullish(),
  pre_tokenizer: preTokenizer,
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

/** What a tokenizer is made of, checked. */
export interface TokenizerDefinition {
  /** As the library takes it. */
  readonly json: object;
  readonly added: readonly AddedToken[];
  /** The largest id. */
  readonly maxId: number;
}

/**
 * Checks a parsed tokenizer.json, and adds the tokens of `decoder` (`added_tokens_decoder` of tokenizer_config.json) that it
 * lacks, as transformers does. Throws a ModelError that begins with the name of the file.
 */
export function readTokenizer(value: unknown, file: string, decoder: unknown = undefined): TokenizerDefinition {
  const json = parseConfig(tokenizerSchema, value, file);
  const complain = (what: string) => new ModelError(`${file}: ${what}`);
  const vocabulary = checkVocabulary(json.model.vocab, complain);
  checkMerges(json.model.merges, vocabulary, complain);
  const { unk_token } = json.model;
  if (unk_token != null && !vocabulary.has(unk_token))
    throw complain(`model.unk_token ${quote(unk_token)} is not in its vocabulary`);
  const missing = unk_token == null && byteCharacters.find((character) => !vocabulary.has(character));
  if (missing) throw complain(`the vocabulary lacks ${quote(missing)}, one of the 256 bytes that any text is made of`);
  const added = mergeAdded(json.added_tokens, decoder, complain);
  return {
    // What a post-processor adds is never asked for.
    json: { ...json, added_tokens: added, post_processor: null },
    added,
    // No spread of arguments: a stack holds some 120,000, and Qwen3's vocabulary has more.
    maxId: [...vocabulary.values(), ...added.map((token) => token.id)].reduce((max, id) => Math.max(max, id), 0),
  };
}

type Complain = (what: string) => ModelError;

function checkVocabulary(vocab: unknown, complain: Complain): ReadonlyMap<string, number> {
  if (typeof vocab !== "object" || vocab === null || Array.isArray(vocab))
    throw complain("model.vocab is missing; a table of tokens and their ids was wanted");
  const entries = Object.entries(vocab);
  if (entries.length > MAX_VOCABULARY)
    throw complain(`model.vocab has ${entries.length} tokens, at most ${MAX_VOCABULARY} are read`);
  const seen = new Set<number>();
  for (const [token, value] of entries) {
    if (!id.safeParse(value).success)
      throw complain(
        `model.vocab: the id of ${quote(token)} is ${quote(value)}, wanted a whole number from 0 to ${MAX_VOCABULARY - 1}`,
      );
    if (seen.has(value)) throw complain(`model.vocab: ${quote(token)} has the id ${value} of another token`);
    seen.add(value);
  }
  return new Map(entries);
}

function checkMerges(merges: unknown, vocabulary: ReadonlyMap<string, number>, complain: Complain): void {
  if (!Array.isArray(merges)) throw complain("model.merges is missing; a list of pairs of tokens was wanted");
  if (merges.length > MAX_MERGES)
    throw complain(`model.merges has ${merges.length} pairs, at most ${MAX_MERGES} are read`);
  for (const [i, merge] of merges.entries()) {
    const pair: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    const isPair = Array.isArray(pair) && pair.length === 2 && pair.every((token) => typeof token === "string");
    if (!isPair) throw complain(`model.merges[${i}] is ${quote(merge)}, wanted a pair of tokens`);
    const foreign = [...pair, pair.join("")].find((token) => !vocabulary.has(token));
    if (foreign !== undefined) throw complain(`model.merges[${i}]: ${quote(foreign)} is not in the vocabulary`);
  }
}

function mergeAdded(listed: readonly AddedToken[], decoder: unknown, complain: Complain): AddedToken[] {
  const added = [...listed];
  if (decoder != null) {
    const table = z.record(z.string().regex(/^\d{1,7}$/), addedToken.omit({ id: true }));
    const parsed = parseConfig(table, decoder, `added_tokens_decoder of ${TOKENIZER_CONFIG}`);
    for (const [key, token] of Object.entries(parsed)) {
      const known = added.find(({ content }) => content === token.content);
      if (known && known.id !== Number(key))
        throw complain(
          `the added token ${quote(token.content)} has the id ${known.id}, but ${key} in ${TOKENIZER_CONFIG}`,
        );
      if (!known) added.push({ ...token, id: Number(key) });
    }
  }
  if (added.length > MAX_ADDED_TOKENS)
    throw complain(`has ${added.length} added tokens, at most ${MAX_ADDED_TOKENS} are read`);
  const names = new Set<string>();
  const ids = new Set<number>();
  for (const token of added) {
    if (names.has(token.content)) throw complain(`the added token ${quote(token.content)} stands twice`);
    if (ids.has(token.id))
      throw complain(`the added token ${quote(token.content)} has the id ${token.id} of another added token`);
    names.add(token.content);
    ids.add(token.id);
  }
  return added;
}

export const TOKENIZER_CONFIG = "tokenizer_config.json";
