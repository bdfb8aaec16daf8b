// Asks a model what an image shows. Run: node examples/01-describe.ts (Node 24), or npx tsx examples/01-describe.ts [IMAGE]

import { Kelix } from "kelix";

const image = process.argv[2] ?? "data/heldout/demo/octopus.png";
const kelix = await Kelix.load();
const question = {
  role: "user",
  content: [
    { type: "image", image },
    { type: "text", text: "What is this?" },
  ],
};
for await (const piece of kelix.chat([question])) if (typeof piece === "string") process.stdout.write(piece);
process.stdout.write("\n");
await kelix.dispose();
