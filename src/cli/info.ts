// kelix info [MODEL]: parts and sizes of a model.

import type { Command } from "commander";
import { type GlobalOptions, printJson, withModel } from "./context.ts";

export function addInfo(program: Command): void {
  program
    .command("info")
    .description("describe a model: its parts, sizes and vocabulary")
    .argument("[model]", "a folder or a built-in name; --model if absent")
    .addHelpText("after", "\nExample:\n  kelix info kelix-nano")
    .action(async (model: string | undefined, _: object, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel({ ...globals, ...(model !== undefined && { model }) }, async (kelix) => {
        const info = kelix.info();
        if (globals.json) {
          printJson(info);
          return;
        }
        const million = (n: number) => `${(n / 1e6).toFixed(2)} M`;
        const { vision, languageModel, diffusionTransformer, autoencoder } = info.parameters;
        const lines: [string, string][] = [
          ["folder", info.path],
          ["vision encoder and codebooks", million(vision)],
          ["language model", `${million(languageModel)}, width ${info.width}, ${info.layers} layers`],
          ["diffusion transformer", million(diffusionTransformer)],
          ["autoencoder", million(autoencoder)],
          ["codes", `${info.codebooks} books of ${info.codesPerBook}`],
          ["text vocabulary", String(info.vocabulary)],
        ];
        for (const [name, value] of lines) process.stdout.write(`${name.padEnd(30)}${value}\n`);
      });
    });
}
