// Added tokens: their definitions (`added_tokens`), and finding them in text.

import * as z from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";
import { type ModelError, quote } from "../errors.ts";

/** Larger than any current vocabulary, and the limit of a config's `vocab_size`. */
export const MAX_VOCABULARY = 4_194_304;
const MAX_ADDED_TOKENS = 10_000;
const MAX_TOKEN_LENGTH = 200;

const flag = z.boolean().default(false);

export const addedTokenSchema = z.looseObject({
  id: z
    .int()
    .min(0)
    .max(MAX_VOCABULARY - 1),
  content: z
    .string()
    .min(1)
    .max(MAX_TOKEN_LENGTH)
    .refine((text) => text.isWellFormed(), { message: "has half of a character" }),
  // Word boundaries are the only flag that is not supported.
  single_word: z.literal(false).default(false),
  lstrip: flag,
  rstrip: flag,
  normalized: flag,
  special: flag,
});
/** A token outside the vocabulary, matched before the text is split. */
export type AddedToken = z.infer<typeof addedTokenSchema>;

/** `added_tokens_decoder` of tokenizer_config.json: tokens by their ids. */
const decoderSchema = z.record(z.string().regex(/^\d{1,7}$/), addedTokenSchema.omit({ id: true }));

/** Makes the error for a fault in a file. */
export type Complain = (what: string) => ModelError;

/**
 * The tokens of tokenizer.json, plus those only in `added_tokens_decoder`, with unique ids and names. For a token in both, the
 * latter can only mark it as special, as in transformers.
 */
export function mergeAddedTokens(
  listed: readonly AddedToken[],
  decoder: unknown,
  decoderFile: string,
  complain: Complain,
): AddedToken[] {
  const added = new Map<string, AddedToken>();
  const ids = new Set<number>();
  const add = (token: AddedToken) => {
    if (added.has(token.content)) throw complain(`the added token ${quote(token.content)} is duplicated`);
    if (ids.has(token.id))
      throw complain(`the added token ${quote(token.content)} has the id ${token.id} of another added token`);
    added.set(token.content, token);
    ids.add(token.id);
  };
  for (const token of listed) add(token);
  const more = decoder == null ? {} : parseConfig(decoderSchema, decoder, `${decoderFile}: added_tokens_decoder`);
  for (const [key, token] of Object.entries(more)) {
    const known = added.get(token.content);
    if (!known) add({ ...token, id: Number(key) });
    else if (known.id !== Number(key))
      throw complain(`the added token ${quote(token.content)} has the id ${known.id}, but ${key} in ${decoderFile}`);
    else if (token.special) added.set(token.content, { ...known, special: true });
  }
  if (added.size > MAX_ADDED_TOKENS)
    throw complain(`has ${added.size} added tokens, at most ${MAX_ADDED_TOKENS} are read`);
  return [...added.values()];
}

/** Whether a special token's name at a place in a text was written by a user and so is not a token. */
export type IsPlain = (start: number, end: number) => boolean;

/** Finds added tokens in text: from the left, the longest at each place, as in the reference's tokenizer. */
export class AddedTokens {
  readonly #byName: ReadonlyMap<string, AddedToken>;
  readonly #names: RegExp;
  readonly #isSpecial: (token: AddedToken) => boolean;

  constructor(tokens: readonly AddedToken[], isSpecial: (token: AddedToken) => boolean) {
    this.#byName = new Map(tokens.map((token) => [token.content, token]));
    this.#isSpecial = isSpecial;
    const names = [...this.#byName.keys()].sort((a, b) => b.length - a.length);
    const escaped = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    this.#names = new RegExp(escaped.join("|") || "(?!)", "g");
  }

  /** Alternating texts and tokens, starting and ending with a text, which may be empty. */
  split(text: string, isPlain: IsPlain): (string | AddedToken)[] {
    const pieces: (string | AddedToken)[] = [];
    let from = 0;
    let before: AddedToken | undefined;
    const close = (end: number, after?: AddedToken) => {
      const start = before?.rstrip ? skipSpace(text, from, end, 1) : from;
      pieces.push(text.slice(start, after?.lstrip ? skipSpace(text, start, end, -1) : end));
    };
    for (const { 0: name, index } of text.matchAll(this.#names)) {
      const token = this.#byName.get(name)!;
      const end = index + name.length;
      if (this.#isSpecial(token) && isPlain(index, end)) continue;
      close(index, token);
      pieces.push(token);
      before = token;
      from = end;
    }
    close(text.length);
    return pieces;
  }
}

const SPACE = /\p{White_Space}/u;

/** The boundary of text[start..end) without white space at its start (1) or end (-1); white space is all in the basic plane. */
function skipSpace(text: string, start: number, end: number, direction: 1 | -1): number {
  let [first, last] = [start, end];
  if (direction === 1) while (first < last && SPACE.test(text[first]!)) first++;
  else while (last > first && SPACE.test(text[last - 1]!)) last--;
  return direction === 1 ? first : last;
}
