// kelix tokenize IMAGE.. -o FILE.safetensors: pictures as codes.

import type { Command } from "commander";
import { publicUrl } from "../safe-url.ts";
import { writeCodes } from "./code-files.ts";
import { type GlobalOptions, interrupted, note, printJson, showProgress, withModel } from "./context.ts";

export function addTokenize(program: Command): void {
  program
    .command("tokenize")
    .description("turn pictures into codes")
    .argument("<image...>", "paths or URLs")
    .requiredOption("-o, --output <file>", "safetensors file")
    .addHelpText(
      "after",
      "\nExample:\n  kelix tokenize cat.png -o cat.safetensors && kelix reconstruct cat.safetensors -o back.png",
    )
    .action(async (images: string[], { output }: { output: string }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const pictures = [];
        for (const [i, image] of images.entries()) {
          interrupted.signal.throwIfAborted();
          showProgress(`picture ${i + 1}/${images.length}`);
          pictures.push({ image: publicUrl(image), ...(await kelix.tokenize(image, { signal: interrupted.signal })) });
        }
        await writeCodes(output, pictures, kelix.info().path.split("/").at(-1) ?? "");
        const facts = pictures.map(({ image, grid, codes }) => ({
          image,
          grid,
          codesPerPosition: codes.length / (grid[0] * grid[1]),
        }));
        if (globals.json) printJson({ file: output, pictures: facts });
        else
          for (const { image, grid, codesPerPosition } of facts)
            note(`${image}: ${grid[0]} x ${grid[1]} positions of ${codesPerPosition} codes -> ${output}`);
      });
    });
}
