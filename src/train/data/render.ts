// Draws the icons of every concept and packs them by style: images u8 [n, side, side, 4] with one index.
// Existing files are kept; a style's file is written atomically.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { makeFolder } from "../../hub/make-folder.ts";
import { loadSharp } from "../../image/sharp.node.ts";
import { replaceFile, writeAll } from "../../output/atomic-file.ts";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { type Concept, findIcon, loadConcepts } from "./concept-icons.ts";
import { iconSets, type License, loadSet } from "./icon-sets.ts";

/** Concepts with fewer styles are left out: too few images to learn from. */
export const MIN_STYLES = 6;

/** One image: row `row` of `<style>.safetensors`. */
export interface IndexEntry {
  readonly name: string;
  readonly caption: string;
  readonly hexcode: string;
  readonly style: string;
  readonly row: number;
}

export interface ImageIndex {
  readonly side: number;
  readonly licenses: Readonly<Record<string, License>>;
  readonly images: readonly IndexEntry[];
}

export const imagesFolder = (cache: string, side: number): string => join(cache, `icons-${side}`);

/** Draws missing images, writes the index and returns it. Needs the packages in the cache. */
export async function renderImages(
  cache: string,
  side: number,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<ImageIndex> {
  const { concepts, labels } = await loadConcepts(cache);
  const sets = await Promise.all(iconSets.map((set) => loadSet(cache, set)));
  const icons = concepts.map((concept) => sets.map((set) => findIcon(concept, set, labels)));
  const isKept = icons.map((names) => names.filter((name) => name !== undefined).length >= MIN_STYLES);
  log(`${isKept.filter(Boolean).length} of ${concepts.length} concepts are in at least ${MIN_STYLES} styles`);

  const folder = imagesFolder(cache, side);
  await makeFolder(folder);
  const images: IndexEntry[] = [];
  for (const [s, set] of sets.entries()) {
    const drawn = concepts.flatMap((concept, c) => {
      const icon = icons[c]![s];
      return isKept[c] && icon !== undefined ? [{ concept, svg: set.svg(icon, side)! }] : [];
    });
    await renderStyle(join(folder, `${set.style}.safetensors`), drawn, { side, log, signal });
    drawn.forEach(({ concept: { name, caption, hexcode } }, row) => {
      images.push({ name, caption, hexcode, style: set.style, row });
    });
  }
  const index = { side, licenses: Object.fromEntries(sets.map(({ style, license }) => [style, license])), images };
  await replaceFile(join(folder, "index.json"), (file) => writeAll(file, Buffer.from(`${JSON.stringify(index)}\n`)));
  return index;
}

async function renderStyle(
  path: string,
  drawn: readonly { readonly concept: Concept; readonly svg: string }[],
  { side, log, signal }: { side: number; log: (line: string) => void; signal: AbortSignal | undefined },
): Promise<void> {
  const hash = createHash("sha256");
  for (const { svg } of drawn) hash.update(svg);
  const source = hash.digest("hex");
  const earlier = await openSafetensorsAt(path).catch(() => undefined);
  await earlier?.close();
  if (earlier?.metadata.source === source) return;
  log(`drawing ${drawn.length} images for ${path}`);
  const sharp = await loadSharp();
  const images = new Uint8Array(drawn.length * side * side * 4); // [n, side, side, 4]
  for (const [row, { concept, svg }] of drawn.entries()) {
    signal?.throwIfAborted();
    const image = sharp(Buffer.from(svg), { unlimited: true }).resize(side, side, {
      fit: "contain",
      background: "#0000",
    });
    const pixels = await image.ensureAlpha().raw().toBuffer();
    if (pixels.length !== side * side * 4)
      throw new Error(`${path}: ${concept.name} was drawn with ${pixels.length} bytes`);
    images.set(pixels, row * side * side * 4);
  }
  await writeSafetensors(path, [["images", hostTensor("u8", images, [drawn.length, side, side, 4])]], { source });
}
