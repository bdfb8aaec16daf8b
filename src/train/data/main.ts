// npm run data -- [--side 96] [--cache FOLDER]: fetches the emoji packages and draws the pictures that training reads,
// then the small held-out sample that lies in the repository (--heldout FOLDER, default data/heldout).

import { parseArgs } from "node:util";
import { defaultCacheFolder, fetchPackages } from "./icon-sets.ts";
import { renderPictures } from "./render.ts";
import { isHeldOutConcept, splitOf, splits } from "./split.ts";

const { values } = parseArgs({
  options: { side: { type: "string", default: "96" }, cache: { type: "string" }, heldout: { type: "string" } },
});
const side = Number(values.side);
if (!Number.isInteger(side) || side < 16 || side > 512) {
  throw new Error(`Expected --side to be an integer from 16 to 512, got ${values.side}`);
}
const cache = values.cache ?? defaultCacheFolder();
const log = (line: string) => process.stderr.write(`${line}\n`);

await fetchPackages(cache, log);
const index = await renderPictures(cache, side, log);
const hexcodes = [...new Set(index.pictures.map(({ hexcode }) => hexcode))];
const heldOut = hexcodes.filter(isHeldOutConcept).length;
log(`${hexcodes.length} concepts, ${heldOut} of them held out; ${index.pictures.length} pictures in ${cache}`);
for (const split of splits) {
  log(`${split}: ${index.pictures.filter(({ hexcode, style }) => splitOf(hexcode, style) === split).length} pictures`);
}
