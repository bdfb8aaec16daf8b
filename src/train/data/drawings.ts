// Monochrome drawings of icon sets: masks that are drawn in any colour on any other. They teach appearance and colours;
// their names are not trained on. Drawings named after a held-out concept are left out.

import { join } from "node:path";
import { InputError } from "../../errors.ts";
import { makeFolder } from "../../hub/make-folder.ts";
import { loadSharp } from "../../image/sharp.node.ts";
import { replaceFile, writeAll } from "../../output/atomic-file.ts";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { loadConcepts } from "./concept-icons.ts";
import { iconPackage, type License, loadSet, readJson } from "./icon-sets.ts";
import { isHeldOutConcept } from "./split.ts";

interface DrawingSet {
  readonly style: string;
  readonly version: string;
  /** Which of the set's icons are drawn: one variant of each. */
  readonly accepts: (name: string) => boolean;
}

export const drawingSets: readonly DrawingSet[] = [
  { style: "game-icons", version: "1.2.4", accepts: () => true },
  { style: "mdi", version: "1.2.3", accepts: (name) => !/outline|^(alpha|numeric|roman)-/.test(name) },
  { style: "ph", version: "1.2.2", accepts: (name) => /-(fill|bold)$/.test(name) },
];

export const drawingPackages = drawingSets.map(iconPackage);

/** The maximum per set, chosen by name. */
const MOST = 3500;
const HELD_OUT_SHARE = 0.05;

export interface DrawingIndex {
  readonly side: number;
  readonly licenses: Readonly<Record<string, License>>;
  /** `set:name` of each row of drawings.safetensors. */
  readonly names: readonly string[];
}

/** The masks of all drawings, [n, side, side] of 0 (nothing) to 255. */
export interface Drawings {
  readonly names: readonly string[];
  mask(row: number): Uint8Array;
  readonly train: readonly number[];
  readonly heldOut: readonly number[];
}

const indexFile = (cache: string, side: number) => join(cache, `drawings-${side}`, "index.json");
const masksFile = (cache: string, side: number) => join(cache, `drawings-${side}`, "drawings.safetensors");

/** Draws the masks and writes them with their index, unless already done; needs the packages in the cache. */
export async function renderDrawings(
  cache: string,
  side: number,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<DrawingIndex> {
  const earlier = (await readJson(indexFile(cache, side)).catch(() => undefined)) as DrawingIndex | undefined;
  if (earlier) return earlier;
  const sharp = await loadSharp();
  const { concepts } = await loadConcepts(cache);
  const heldOut = concepts
    .filter(({ hexcode }) => isHeldOutConcept(hexcode))
    .flatMap(({ label, name }) => [label, name]);
  const names: string[] = [];
  const masks: Buffer[] = [];
  const licenses: Record<string, License> = {};
  for (const { style, version, accepts } of drawingSets) {
    const set = await loadSet(cache, { style, version });
    licenses[style] = set.license;
    const rank = (name: string) => counterRandom(1, style).fork(name).uniform(0);
    const chosen = set.names
      .filter((name) => accepts(name) && !heldOut.some((words) => mentions(name, words)))
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, MOST)
      .sort();
    log(`drawing ${chosen.length} of ${set.names.length} icons of ${style}`);
    for (const name of chosen) {
      signal?.throwIfAborted();
      const image = sharp(Buffer.from(set.svg(name, side)!), { unlimited: true }).resize(side, side, {
        fit: "contain",
        background: "#0000",
      });
      masks.push(await image.ensureAlpha().extractChannel("alpha").raw().toBuffer());
      names.push(`${style}:${name}`);
    }
  }
  await makeFolder(join(cache, `drawings-${side}`));
  const all = hostTensor("u8", new Uint8Array(Buffer.concat(masks)), [names.length, side, side]);
  await writeSafetensors(masksFile(cache, side), [["masks", all]]);
  const index: DrawingIndex = { side, licenses, names };
  await replaceFile(indexFile(cache, side), (file) => writeAll(file, Buffer.from(`${JSON.stringify(index)}\n`)));
  return index;
}

export async function openDrawings(cache: string, side: number): Promise<Drawings> {
  const index = (await readJson(indexFile(cache, side)).catch((cause) => {
    throw new InputError(`${cache}: contains no icon drawings. Run \`kelix data --side ${side}\` first`, {
      cause,
    });
  })) as DrawingIndex;
  const file = await openSafetensorsAt(masksFile(cache, side));
  const masks = (await file.read("masks")).data as Uint8Array;
  await file.close();
  const size = side * side;
  const rows = index.names.map((_, row) => row);
  const isHeldOut = (row: number) => counterRandom(2, "drawing").fork(index.names[row]!).uniform(0) < HELD_OUT_SHARE;
  return {
    names: index.names,
    mask: (row) => masks.subarray(row * size, (row + 1) * size),
    train: rows.filter((row) => !isHeldOut(row)),
    heldOut: rows.filter(isHeldOut),
  };
}

/** Whether an icon's name contains all words of a phrase ("red-apple-bitten" mentions "red apple"). */
export function mentions(name: string, phrase: string): boolean {
  const words = name.split("-");
  return phrase
    .toLowerCase()
    .split(/[ -]+/)
    .filter((word) => word !== "face" && word !== "with")
    .every((word) => words.includes(word));
}
