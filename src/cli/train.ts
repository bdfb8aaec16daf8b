// kelix train STAGE --config FILE: runs one training stage.

import type { Command } from "commander";
import { InputError } from "../index.ts";
import { readRunConfig } from "../train/config.ts";
import { writeRunReport } from "../train/run-report.ts";
import { startTraining } from "../train/start.ts";
import type { GlobalOptions } from "./context.ts";
import { interrupted, outliveReader, printable, printJson, report, say } from "./terminal.ts";

interface Options {
  readonly config?: string;
  readonly out: string;
  readonly resume?: boolean;
  readonly acceptChanges?: boolean;
  readonly init?: string;
  readonly reportOnly?: boolean;
  readonly data?: string;
  readonly heldOut?: string;
  readonly skipBad?: boolean;
}

export function define(command: Command): void {
  command
    .argument(
      "<stage>",
      "tokenizer, language-model, autoencoder or diffusion; or toy: all of them, on scenes of shapes, in a few minutes",
    )
    .option("--out <folder>", "toy: the folder for everything", "kelix-toy")
    .option("--config <file>", "the run's settings, such as configs/nano/tokenizer.json")
    .option("--init <model>", "start from these weights: a model folder, a run, a checkpoint or a file")
    .option("--data <path>", "examples to train on: a folder, or a .jsonl, .tar or .parquet file")
    .option("--held-out <path>", "with --data: examples to sample from, not trained on")
    .option("--skip-bad", "with --data: skip bad examples, including those found before training starts")
    .option("--resume", "continue from the run's last checkpoint")
    .option("--accept-changes", "with --resume: continue even if the settings would train something else")
    .option("--report-only", "write report.html for the run's current state, without training")
    .addHelpText(
      "after",
      "\nExamples:\n  kelix train toy\n  kelix data\n  kelix train autoencoder --config configs/nano/autoencoder.json\n  kelix train autoencoder --config configs/nano/autoencoder.json --data my-images\nA line every `logEvery` steps goes to stdout (with --json, whose value is the last of them, to stderr), unless --quiet is given. Ctrl-C saves a checkpoint.",
    )
    .action(async (stage: string, options: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      refuseIgnored(command, stage);
      if (stage === "toy") return trainToy(options, globals);
      const { config } = options;
      if (config === undefined)
        throw new InputError("train needs --config FILE, the run's settings, such as configs/nano/tokenizer.json", {
          code: "invalid_option",
        });
      if (options.reportOnly) {
        const { folder } = await readRunConfig(config);
        const path = await writeRunReport(folder);
        if (globals.json) printJson({ report: path });
        else say(printable(path));
        return;
      }
      outliveReader(); // hours of work should not end because the reader of its output left
      const entries = await startTraining(stage, config, {
        resume: options.resume ?? false,
        acceptChanges: options.acceptChanges ?? false,
        init: options.init,
        data: options.data,
        heldOut: options.heldOut,
        skipBad: options.skipBad,
        signal: interrupted.signal,
        log: (line) => (globals.json ? report(line) : say(printable(line))),
      });
      if (globals.json) printJson(entries.at(-1) ?? null);
      interrupted.signal.throwIfAborted();
    });
}

/** The toy has its own settings, and only the toy takes --out. */
function refuseIgnored(command: Command, stage: string): void {
  const isToy = stage === "toy";
  for (const option of command.options) {
    const isOfToy = option.attributeName() === "out";
    if (isOfToy === isToy || command.getOptionValueSource(option.attributeName()) !== "cli") continue;
    throw new InputError(`train ${stage} has no ${option.long} (try kelix train --help)`, { code: "invalid_option" });
  }
}

async function trainToy({ out }: Options, globals: GlobalOptions): Promise<void> {
  outliveReader();
  const { trainToy } = await import("../train/toy/toy.ts");
  const log = (line: string) => (globals.json ? report(line) : say(printable(line)));
  const made = await trainToy(out, { log, signal: interrupted.signal });
  if (globals.json) printJson(made);
  else for (const line of [`model: ${made.model}`, `page: ${made.page}`]) say(line);
}
