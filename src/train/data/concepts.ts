// The concepts of the emoji images: things that look different from each other, with short plain names (data/emoji/concepts.json).
// Deliberately left out: skin tones, flags, letters, clock faces, moon phases, arrows and other series of near-equal images.

import { readFileSync } from "node:fs";

export interface ConceptName {
  /** The label in emojibase-data, which gives the code point. */
  readonly label: string;
  /** This project's name for it, without an article; unique. */
  readonly name: string;
  /** The answer to "What is this?": the name with its article, or without one for plurals and materials. */
  readonly caption: string;
}

/** All concepts, in numbering order. */
export function conceptNames(): readonly ConceptName[] {
  return readTable("concepts") as ConceptName[];
}

/**
 * Style -> emojibase label -> icon name, for sets whose names differ from emojibase's. "" means that the set's icon of the
 * same name shows something else.
 */
export function iconNames(): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return readTable("icon-names") as Record<string, Record<string, string>>;
}

function readTable(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../data/emoji/${name}.json`, import.meta.url), "utf8"));
}

/** Words whose article does not follow from the first letter. */
const ARTICLE_EXCEPTIONS: Readonly<Record<string, string>> = { unicorn: "a", urn: "an", hourglass: "an" };

/** The name with "a" or "an" before it. */
export function withArticle(name: string): string {
  const first = name.split(" ")[0]!;
  return `${ARTICLE_EXCEPTIONS[first] ?? (/^[aeiou]/i.test(name) ? "an" : "a")} ${name}`;
}
