// Downloads the corpus's packages and draws its images, for `kelix data`. Existing files stay, so a
// second call does only what is missing.

import { digitPackage, renderDigits } from "./digits.ts";
import { drawingPackages, renderDrawings } from "./drawings.ts";
import { fontPackages, renderFonts } from "./fonts.ts";
import { emojiPackages } from "./icon-sets.ts";
import { type PackageFacts, packageTable } from "./package-table.ts";
import { type CachedPackage, type FetchOptions, fetchPackages } from "./packages.ts";
import { type ImageIndex, renderImages } from "./render.ts";
import { isHeldOutConcept, type Split, splitOf, splits } from "./split.ts";

/** Every package, with what is drawn from it. */
export const corpusPackages: readonly (CachedPackage & { readonly use: string })[] = [
  ...emojiPackages.map((item) => ({ ...item, use: item.package.startsWith("@iconify") ? "emoji" : "names of emoji" })),
  ...drawingPackages.map((item) => ({ ...item, use: "icons" })),
  ...fontPackages.map((item) => ({
    ...item,
    use: item.package.startsWith("@fontsource") ? "lettering" : "reads fonts",
  })),
  { ...digitPackage, use: "handwritten digits" },
];

export interface PackageListing extends Partial<PackageFacts> {
  readonly package: string;
  readonly version: string;
  readonly use: string;
}

/** The packages to download, with licences and sizes. */
export function listCorpusPackages(): PackageListing[] {
  return corpusPackages.map(({ package: name, version, use }) => ({
    package: name,
    version,
    use,
    ...packageTable[`${name}@${version}`],
  }));
}

export interface DrawnCorpus {
  readonly folder: string;
  readonly side: number;
  readonly concepts: number;
  readonly heldOutConcepts: number;
  /** Emoji images by split. */
  readonly images: Readonly<Record<Split, number>>;
  readonly icons: number;
  readonly index: ImageIndex;
}

/** Draws into the cache folder, at `side` pixels. Throws a FetchError if a package cannot be downloaded, or the signal's reason. */
export async function drawCorpus(folder: string, side: number, options: FetchOptions): Promise<DrawnCorpus> {
  const { signal } = options;
  const log = (line: string) => {
    signal?.throwIfAborted(); // each drawing step logs its start
    options.log(line);
  };
  await fetchPackages(folder, corpusPackages, { log, signal });
  const index = await renderImages(folder, side, log, signal);
  const drawings = await renderDrawings(folder, side, log, signal);
  await renderFonts(folder, log);
  await renderDigits(folder, log);
  const hexcodes = [...new Set(index.images.map(({ hexcode }) => hexcode))];
  const count = (split: Split) => index.images.filter(({ hexcode, style }) => splitOf(hexcode, style) === split).length;
  return {
    folder,
    side,
    concepts: hexcodes.length,
    heldOutConcepts: hexcodes.filter(isHeldOutConcept).length,
    images: Object.fromEntries(splits.map((split) => [split, count(split)])) as Record<Split, number>,
    icons: drawings.names.length,
    index,
  };
}
