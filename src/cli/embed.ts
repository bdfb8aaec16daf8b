// kelix embed IMAGE..: a vector per image, one line of JSON each.

import type { Command } from "commander";
import { optionsOf, publicUrl } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { checkInputs, forEachImage, inputPath } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printJson } from "./terminal.ts";

export function define(command: Command): void {
  addFlags(command, optionsOf.embed, { fusion: "<how>" })
    .argument("<image...>", "paths or URLs; - reads standard input")
    .addHelpText(
      "after",
      "\nPrints one line of JSON per image; with --json, one list.\n\nExample:\n  kelix embed cat.png dog.png > vectors.jsonl",
    )
    .action(async (images: string[], options: { fusion?: "mean" | "sum" }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      checkInputs(images);
      await withModel(globals, async (kelix) => {
        const results = await forEachImage(images, async (image) => {
          const vector = await kelix.embed(inputPath(image), { ...options, signal: interrupted.signal });
          const result = { image: publicUrl(image), vector: [...vector] };
          if (!globals.json) printJson(result);
          return result;
        });
        if (globals.json) printJson(results);
      });
    });
}
