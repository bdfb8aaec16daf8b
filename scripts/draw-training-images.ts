// Draws kelix-nano's training images, three emoji to a scene, without the sets under share-alike licences: codes are drawings too.
// models/kelix-nano/replay.codes are the first 1,800:
//   npx tsx --conditions=kelix-source scripts/draw-training-images.ts drawings 1800
//   npx kelix tokenize drawings/*.png -o drawings.safetensors && mv drawings.safetensors models/kelix-nano/replay.codes
// Needs the corpus: kelix data.

import { join } from "node:path";
import { makeFolder } from "../src/hub/make-folder.ts";
import { writePng } from "../src/output/write-image.ts";
import { openCorpus } from "../src/train/data/corpus.ts";

const SEED = 777;
const SHARE_ALIKE = ["openmoji", "emojione-v1"];
const [folder, count = "1800"] = process.argv.slice(2);
if (!folder) throw new Error("usage: draw-training-images FOLDER [COUNT]");
await makeFolder(folder);
const corpus = await openCorpus();
let drawn = 0;
for (let i = 0; drawn < Number(count); i++) {
  // As for requests: one drawing, not a blend of two sets.
  const { image, concept } = corpus.sample(drawn % 4 === 3 ? "scene" : "emoji", "train", SEED, i, "request");
  if (concept && SHARE_ALIKE.includes(concept.style)) continue;
  await writePng(join(folder, `${String(drawn++).padStart(5, "0")}.png`), image);
}
