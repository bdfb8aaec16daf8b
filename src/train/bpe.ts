// Trains a byte-level BPE vocabulary (Sennrich et al., 2016; bytes as in GPT-2) and writes it as a Hugging Face tokenizer.json.

import { InputError } from "../errors.ts";
import { byteCharacters } from "../text/byte-characters.ts";

/** Text is split into words first; merges never cross word boundaries. GPT-2's pattern without its English contractions. */
const WORDS = / ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export interface BpeOptions {
  /** Total entries: bytes, merges and special tokens. */
  readonly size: number;
  /** Special tokens, which take the last ids in this order. */
  readonly special: readonly string[];
}

export interface Vocabulary {
  /** Token by id, bytes written as printable characters. */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
  readonly special: readonly string[];
}

/** Merges the most frequent adjacent pair (ties: the smaller pair) until the vocabulary is full or no pair repeats. */
export function trainBpe(texts: Iterable<string>, { size, special }: BpeOptions): Vocabulary {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].map(([word, count]) => ({
    pieces: [...new TextEncoder().encode(word)].map((byte) => byteCharacters[byte]!),
    count,
  }));
  const merges: [string, string][] = [];
  const room = size - special.length - 256;
  if (room < 0) throw new InputError(`Expected a vocabulary of at least ${256 + special.length} entries, got ${size}`);
  while (merges.length < room) {
    const pairs = new Map<string, number>();
    for (const { pieces, count } of words) {
      for (let i = 0; i + 1 < pieces.length; i++) {
        const key = `${pieces[i]} ${pieces[i + 1]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + count);
      }
    }
    let best: string | undefined;
    for (const [key, count] of pairs) {
      const most = best === undefined ? 0 : pairs.get(best)!;
      if (count > most || (count === most && key < best!)) best = key;
    }
    if (best === undefined) break;
    const [left, right] = best.split(" ") as [string, string];
    merges.push([left, right]);
    for (const word of words) word.pieces = join(word.pieces, left, right);
  }
  return { tokens: [...byteCharacters, ...merges.map(([a, b]) => a + b)], merges, special };
}

function join(pieces: string[], left: string, right: string): string[] {
  if (!pieces.includes(left)) return pieces;
  const out: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      out.push(left + right);
      i++;
    } else out.push(pieces[i]!);
  }
  return out;
}

/** The contents of tokenizer.json. Unused ids before the special tokens are left out. */
export function tokenizerJson({ tokens, merges, special }: Vocabulary, size: number): object {
  const added = special.map((content, i) => ({
    id: size - special.length + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORDS.source }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
