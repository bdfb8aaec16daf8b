// Asks a model what an image shows. Run: node examples/01-describe.ts (Node 24), or npx tsx examples/01-describe.ts [IMAGE]

import { Kelix } from "kelix";

const image = process.argv[2] ?? "data/heldout/demo/octopus.png";
const kelix = await Kelix.load();
console.log(await kelix.describe(image, { prompt: "What is this?" }));
await kelix.dispose();
