// kelix train STAGE --config FILE: one training stage.

import type { Command } from "commander";
import { startTraining } from "../train/start.ts";
import { type GlobalOptions, interrupted, printable, printJson } from "./context.ts";

interface TrainCommandOptions {
  readonly config: string;
  readonly resume?: boolean;
  readonly acceptChanges?: boolean;
  readonly quiet?: boolean;
}

export function addTrain(program: Command): void {
  program
    .command("train")
    .description("train one stage: tokenizer, language-model, autoencoder or diffusion")
    .argument("<stage>")
    .requiredOption("--config <file>", "the run's settings, such as configs/nano/tokenizer.json")
    .option("--resume", "go on from the run's last checkpoint")
    .option("--accept-changes", "with --resume: even if the settings now say that something else is trained")
    .option("--quiet", "print no lines while training")
    .addHelpText(
      "after",
      "\nA line every `logEvery` steps goes to stdout; with --json, whose value is the last line, to stderr." +
        "\nExample:\n  kelix train tokenizer --config configs/nano/tokenizer.json\nNeeds the corpus: `npm run data` in a clone of the repository. Ctrl-C saves a checkpoint.",
    )
    .action(async (stage: string, options: TrainCommandOptions, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalOptions>();
      const stream = json ? process.stderr : process.stdout;
      const entries = await startTraining(stage, options.config, {
        resume: options.resume ?? false,
        acceptChanges: options.acceptChanges ?? false,
        signal: interrupted.signal,
        ...(!options.quiet && { log: (line) => stream.write(`${printable(line)}\n`) }),
      });
      if (json) printJson(entries.at(-1) ?? null);
      interrupted.signal.throwIfAborted();
    });
}
