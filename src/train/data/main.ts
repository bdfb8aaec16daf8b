// npm run heldout: rewrites the repository's held-out sample, data/heldout. Needs the corpus; see kelix data.

import { openCorpus } from "./corpus.ts";
import { drawCorpus } from "./draw-corpus.ts";
import { defaultCacheFolder } from "./icon-sets.ts";
import { writeHeldOut } from "./write-heldout.ts";

const [folder = "data/heldout", cache = defaultCacheFolder()] = process.argv.slice(2);
const log = (line: string) => process.stderr.write(`${line}\n`);
const { index, side } = await drawCorpus(cache, 96, { log });
log(`${folder}: ${await writeHeldOut(folder, await openCorpus(cache, side), index.licenses)} held-out images`);
