// kelix export RUN OUT: assembles a finished run into a model folder.

import type { Command } from "commander";
import { exportRun } from "../train/export.ts";
import { printable, report } from "./terminal.ts";

export function define(command: Command): void {
  command
    .argument("<run>", "the folder of a diffusion, language-model or tokenizer run")
    .argument("<out>", "the new model folder")
    .option(
      "--files <folder>",
      "where tokenizer.json, the chat template and the preprocessor's settings are, if elsewhere",
    )
    .addHelpText(
      "after",
      "\nExample:\n  kelix export runs/nano/diffusion my-nano && kelix describe cat.png --model my-nano\nA diffusion run gives a whole model; the others give one that describes images but cannot draw.",
    )
    .action(async (run: string, out: string, { files }: { readonly files?: string }) => {
      await exportRun(run, out, { files, log: (line) => report(printable(line)) });
    });
}
