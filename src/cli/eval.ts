// kelix eval SUITE: benchmark tables.

import type { Command } from "commander";
import { InputError, quote } from "../errors.ts";
import { evaluateNano } from "../eval/nano.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printJson, showProgress } from "./terminal.ts";

const suites = ["nano"] as const;

export function define(command: Command): void {
  addFlags(command, "evaluateNano", { every: "<n>", seeds: "<n>" })
    .argument("<suite>", `one of: ${suites.join(", ")}`, (text) => {
      if (!(suites as readonly string[]).includes(text))
        throw new InputError(`Expected one of ${suites.join(", ")}, got ${quote(text)}`, { code: "invalid_option" });
      return text;
    })
    .addHelpText("after", "\nExamples:\n  kelix eval nano --json\n  kelix eval nano --seeds 10 --model nano-int4")
    .action(async (_: string, { every, seeds }: { every: number; seeds: number }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const onProgress = (part: string, done: number, total: number) => showProgress(`${part} ${done}/${total}`);
        const results = await evaluateNano(kelix, { every, seeds, onProgress, signal: interrupted.signal });
        showProgress("");
        if (globals.json) {
          printJson(results);
          return;
        }
        const { reconstruction, caption, scenes, imagine } = results;
        const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
        process.stdout.write(
          [
            `reconstruction   PSNR ${reconstruction.psnr.toFixed(2)} dB over ${reconstruction.n} images`,
            `codes in use     ${reconstruction.bookUse.map(percent).join("  ")}`,
            `captions         ${percent(caption.accuracy)} of ${caption.n}`,
            `scene questions  ${percent(scenes.accuracy)} of ${scenes.n} (from the question alone ${percent(scenes.questionOnly)})`,
            `imagined         ${percent(imagine.accuracy)} of ${imagine.n}`,
            "",
          ].join("\n"),
        );
      });
    });
}
