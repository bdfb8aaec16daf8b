// kelix finetune MODEL --data PATH -o ADAPTER: trains a low-rank adapter on a frozen model.

import type { Command } from "commander";
import { finetuneModel } from "../train/finetune.ts";
import { type FinetuneOptions, finetuneOptions } from "../train/finetune-options.ts";
import type { GlobalOptions } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, outliveReader, printable, printJson, report, say } from "./terminal.ts";

export function define(command: Command): void {
  addFlags(command, finetuneOptions, {
    data: "<path>",
    skipBad: "",
    rank: "<n>",
    alpha: "<x>",
    strength: "<x>",
    targets: "<name...>",
    rate: "<x>",
    steps: "<n>",
    batch: "<n>",
    replay: "<n>",
    replayImages: "<n>",
    replayData: "<path>",
    variants: "<n>",
    seed: "<n>",
    run: "<folder>",
    resume: "",
  })
    .argument("<model>", "a folder, a repository of the Hub or a built-in name")
    .requiredOption("-o, --output <folder>", "the new folder of the adapter")
    .addHelpText(
      "after",
      "\nExamples:\n  kelix finetune kelix-nano --data pinwheels -o pinwheel\n  kelix describe photo.png --adapter pinwheel\n  kelix merge kelix-nano pinwheel -o nano-pinwheel\nCtrl-C saves a checkpoint, and --resume continues from the last one. docs/finetune.md has a complete example.",
    )
    .action(async (model: string, options: FinetuneOptions & { readonly output: string }, command: Command) => {
      const { json, threads } = command.optsWithGlobals<GlobalOptions>();
      const { output, ...settings } = options;
      outliveReader();
      const entries = await finetuneModel(model, output, {
        ...settings,
        threads,
        signal: interrupted.signal,
        log: (line) => (json ? report(line) : say(printable(line))),
      });
      if (json) printJson(entries.at(-1) ?? null);
      interrupted.signal.throwIfAborted();
    });
}
