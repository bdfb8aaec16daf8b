// Finds each concept's icon in each set: by code point if the set lists them, else by the name as a slug.
// Some sets use names of their own, which a table maps.

import { join } from "node:path";
import { type ConceptName, conceptNames, iconNames } from "./concepts.ts";
import { type LoadedSet, NAMES_PACKAGE, readJson } from "./icon-sets.ts";
import { packageFolder } from "./packages.ts";

export interface Concept extends ConceptName {
  /** Code points in upper-case hexadecimal, as in emojibase-data: "1F34E". */
  readonly hexcode: string;
}

/** The fields of emojibase-data that are used here. */
export async function readEmojiNames(
  cache: string,
): Promise<{ readonly label: string; readonly hexcode: string; readonly tags?: readonly string[] }[]> {
  return (await readJson(join(packageFolder(cache, NAMES_PACKAGE), "en", "data.json"))) as never;
}

/** Gives each concept its code point; throws if emojibase-data has no such label. */
export async function loadConcepts(cache: string): Promise<{ concepts: Concept[]; labels: Set<string> }> {
  const data = await readEmojiNames(cache);
  const hexcodes = new Map(data.map(({ label, hexcode }) => [label, hexcode]));
  const concepts = conceptNames().map((concept) => {
    const hexcode = hexcodes.get(concept.label);
    if (!hexcode) throw new Error(`${NAMES_PACKAGE.package} has no emoji called ${JSON.stringify(concept.label)}`);
    return { ...concept, hexcode };
  });
  return { concepts, labels: new Set(hexcodes.keys()) };
}

let ownNames: ReturnType<typeof iconNames> | undefined;

/** The name of a concept's icon in a set, if it has one. `labels`: all labels, so that none takes another's icon. */
export function findIcon({ label, hexcode }: Concept, set: LoadedSet, labels: ReadonlySet<string>): string | undefined {
  ownNames ??= iconNames();
  const own = ownNames[set.style]?.[label];
  if (own !== undefined) return set.has(own) ? own : undefined;
  const code = hexcode.toLowerCase().replaceAll("-fe0f", "");
  const listed = set.characters.get(code) ?? set.characters.get(`${code}-fe0f`);
  if (listed && set.has(listed)) return listed;
  if (set.characters.size > 0) return undefined;
  const slug = slugOf(label);
  const taken = new Set(Object.values(ownNames[set.style] ?? {}));
  const candidates = [slug, slug.replaceAll("-", "")];
  if (!labels.has(`${label} face`)) candidates.push(`${slug}-face`);
  return candidates.find((name) => set.has(name) && !taken.has(name));
}

function slugOf(label: string): string {
  const plain = label
    .toLowerCase()
    .normalize("NFD")
    .replace(/[^a-z0-9 -]/g, "");
  return plain.trim().replace(/[ -]+/g, "-");
}
