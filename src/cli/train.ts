// kelix train STAGE --config FILE: one training stage.

import type { Command } from "commander";
import { startTraining } from "../train/start.ts";
import type { GlobalOptions } from "./context.ts";
import { interrupted, printJson, report } from "./terminal.ts";

export function define(command: Command): void {
  command
    .argument("<stage>")
    .requiredOption("--config <file>", "the run's settings, such as configs/nano/tokenizer.json")
    .option("--resume", "go on from the run's last checkpoint")
    .addHelpText(
      "after",
      "\nExample, in a clone of the repository, which can make the training data:\n  npm run data\n  kelix train tokenizer --config configs/nano/tokenizer.json\nCtrl-C saves a checkpoint.",
    )
    .action(async (stage: string, { config, resume }: { config: string; resume?: boolean }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const entries = await startTraining(stage, config, {
        resume: resume ?? false,
        signal: interrupted.signal,
        log: report,
      });
      if (globals.json) printJson(entries.at(-1) ?? null);
      interrupted.signal.throwIfAborted();
    });
}
