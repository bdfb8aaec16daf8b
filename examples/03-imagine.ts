// Draws an image for a prompt, with progress. Run: npx tsx examples/03-imagine.ts [PROMPT] [OUT.png]

import { Kelix, writePng } from "kelix";

const [prompt = "two red circles", out = "imagined.png"] = process.argv.slice(2);
const kelix = await Kelix.load();
const [image] = await kelix.imagine(prompt, {
  seed: 1,
  onProgress: ({ task, done, total }) => console.log(`${task} ${done}/${total}`),
});
await writePng(out, image!);
await kelix.dispose();
