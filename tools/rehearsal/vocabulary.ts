// A text vocabulary of any size for a model without one: bytes, then every word of one, two, three .. letters in turn, each
// joined from the one before it and a letter; then the special tokens at the released model's places.

import { byteCharacters } from "../../src/text/byte-characters.ts";
import type { Vocabulary } from "../../src/train/bpe.ts";
import { IDS_AFTER_WORDS, specialTokens } from "./configs.ts";

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];

/** The vocabulary of a model with `entries` rows of text, of which the last few have no token, as in the released one. */
export function syntheticVocabulary(entries: number): Vocabulary {
  const words = entries - IDS_AFTER_WORDS;
  const tokens = [...byteCharacters];
  const merges: [string, string][] = [];
  const space = byteCharacters[" ".charCodeAt(0)]!;
  const stems = [space, ...LETTERS];
  for (let i = 0; tokens.length < words; i++) {
    const stem = stems[i]!;
    for (const letter of LETTERS) {
      if (tokens.length === words) break;
      merges.push([stem, letter]);
      tokens.push(stem + letter);
      stems.push(stem + letter);
    }
  }
  const last = Math.max(...Object.values(specialTokens));
  const names = new Map(Object.entries(specialTokens).map(([name, place]) => [place, name]));
  const special = Array.from({ length: last + 1 }, (_, place) => names.get(place) ?? `<|extra_${place}|>`);
  return { tokens, merges, special };
}
