// kelix best-of -o FOLDER: draws training prompts several times and keeps what a judge recognises, as data to train on.

import type { Command } from "commander";
import { bestOf, readRecord, trainingPrompts } from "../eval/best-of.ts";
import { openTrainingDrawings } from "../eval/floors/training-drawings.ts";
import { Judge } from "../eval/judge/judge.ts";
import { bestOfOptions } from "../eval/options.ts";
import { spread } from "../eval/suite.ts";
import { loadImage } from "../index.ts";
import { defaultCacheFolder } from "../train/data/icon-sets.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printable, printJson, report, say, showProgress } from "./terminal.ts";

interface Options {
  readonly output: string;
  readonly n: number;
  readonly seed: number;
  readonly limit?: number;
}

/** Prompts between two lines of the log. */
const LOG_EVERY = 10;

export function define(command: Command): void {
  command.requiredOption(
    "-o, --output <folder>",
    "the folder of kept images, which is continued if it was interrupted",
  );
  addFlags(command, bestOfOptions, { n: "<n>", limit: "<n>", seed: "<n>" })
    .addHelpText(
      "after",
      "\nExample:\n  kelix best-of --model nano-2 --n 8 -o kept\n" +
        "  kelix train language-model --config configs/nano/language-model.json --init nano-2 --data kept\n" +
        "The prompts are the names of the training concepts (kelix data). The vision stage's teacher judges; the judge of kelix eval takes no part in training.",
    )
    .action(async ({ output, n, seed, limit }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const { model = "kelix-nano", threads, json } = globals;
      const { signal } = interrupted;
      const log = (line: string) => report(printable(line));
      const cache = defaultCacheFolder();
      await readRecord(output, { model, n, seed }); // before anything is opened
      const drawings = await openTrainingDrawings(cache, "best-of");
      const all = trainingPrompts(drawings);
      const prompts = spread(all, limit ?? all.length);
      const judge = await Judge.openTeacher(cache, drawings, log, threads === undefined ? {} : { threads });
      const onProgress = (done: number, total: number, kept: number) => {
        const show = done === total || done % LOG_EVERY > 0 ? showProgress : log;
        show(`prompts ${done}/${total}, kept ${kept}`);
      };
      const { done } = await withModel(globals, (kelix) => {
        const draw = async (caption: string, first: number) => {
          const drawn = await kelix.imagine(caption, { n, seed: first, signal });
          return Promise.all(drawn.map((image) => loadImage(image)));
        };
        return bestOf(prompts, draw, judge, output, { model, n, seed, signal, onProgress });
      }).finally(() => judge.release());
      showProgress("");
      const kept = done.filter(({ image }) => image !== undefined).length;
      const right = done.reduce((sum, one) => sum + one.right, 0);
      if (json) printJson({ folder: output, prompts: done.length, drawn: done.length * n, right, kept });
      else
        say(
          `${printable(output)}: ${kept} images of ${done.length} prompts; ${right} of ${done.length * n} were right`,
        );
    });
}
