// kelix export SRC OUT: a finished run as a model folder, or a model in the layout of the reference's checkpoints.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { InputError } from "../index.ts";
import { exportRun } from "../train/export.ts";
import { exportModel, exportPrecisions } from "../train/export-model.ts";
import { printable, report } from "./terminal.ts";

interface Options {
  readonly files?: string;
  readonly precision?: (typeof exportPrecisions)[number];
}

export function define(command: Command): void {
  command
    .argument("<source>", "the folder of a diffusion, language-model or tokenizer run, or a model")
    .argument("<out>", "the new model folder")
    .option(
      "--files <folder>",
      "of a run: where tokenizer.json, the chat template and the preprocessor's settings are, if elsewhere",
    )
    .addOption(new Option("--precision <name>", "of the weights (default: bf16)").choices(exportPrecisions))
    .addHelpText(
      "after",
      "\nExamples:\n  kelix export runs/nano/diffusion my-nano && kelix describe cat.png --model my-nano\n" +
        "  kelix export runs/nano/diffusion my-nano --precision f32\n" +
        "  kelix export my-nano my-nano-reference --precision f32\n" +
        "A diffusion run gives a whole model; of the others one that describes images and does not draw. A model is written in the layout that the\n" +
        "reference's training loads: docs/scale.md.",
    )
    .action(async (source: string, out: string, { files, precision }: Options) => {
      const log = (line: string) => report(printable(line));
      if (existsSync(join(source, "checkpoints")))
        return exportRun(source, out, { files, log, ...(precision && { precision }) });
      if (files !== undefined)
        throw new InputError("--files is for a run; a model has its own files", { code: "invalid_option" });
      await exportModel(source, out, { log, ...(precision && { precision }) });
    });
}
