// kelix train STAGE --config FILE: one training stage.

import type { Command } from "commander";
import { startTraining } from "../train/start.ts";
import { type GlobalOptions, interrupted, note, printJson } from "./context.ts";

export function addTrain(program: Command): void {
  program
    .command("train")
    .description("train one stage: tokenizer, language-model, autoencoder or diffusion")
    .argument("<stage>")
    .requiredOption("--config <file>", "the run's settings, such as configs/nano/tokenizer.json")
    .option("--resume", "go on from the run's last checkpoint")
    .addHelpText(
      "after",
      "\nExample:\n  kelix train tokenizer --config configs/nano/tokenizer.json\nNeeds the corpus: npm run data. Ctrl-C saves a checkpoint.",
    )
    .action(async (stage: string, { config, resume }: { config: string; resume?: boolean }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const entries = await startTraining(stage, config, {
        resume: resume ?? false,
        signal: interrupted.signal,
        log: note,
      });
      if (globals.json) printJson(entries.at(-1) ?? null);
      interrupted.signal.throwIfAborted();
    });
}
