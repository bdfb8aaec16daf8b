// An image as codes, and decoded from them alone. Run: npx tsx examples/02-codes.ts [IMAGE] [OUT.png]

import { Kelix, writePng } from "kelix";

const [image = "data/heldout/demo/octopus.png", out = "codes.png"] = process.argv.slice(2);
const kelix = await Kelix.load();
const codes = await kelix.tokenize(image);
console.log(
  `${codes.grid[0]} x ${codes.grid[1]} positions, the first one's codes: ${codes.codes.subarray(0, 8).join(" ")}`,
);
await writePng(out, await kelix.reconstruct(codes, { seed: 1 }));
await kelix.dispose();
