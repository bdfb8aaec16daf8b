// kelix merge MODEL ADAPTER -o OUT: stores a model with its adapter merged in.

import type { Command } from "commander";
import { type MergedMatrix, mergeAdapter } from "../quantize/merge.ts";
import type { GlobalOptions } from "./context.ts";
import { interrupted, printable, printJson, showProgress } from "./terminal.ts";
import { Transfer } from "./transfer.ts";

export function define(command: Command): void {
  command
    .argument("<model>", "the model that the adapter was trained on, or one converted from it")
    .argument("<adapter>", "the adapter's folder")
    .requiredOption("-o, --output <folder>", "the new folder of the merged model")
    .addHelpText(
      "after",
      "\nExample:\n  kelix merge kelix-nano pinwheel -o nano-pinwheel && kelix describe photo.png --model nano-pinwheel\nMatrices at 8 or 4 bits are rounded again, which at 4 bits may lose much of a small adapter: beside such a model rather load it with --adapter, or merge into the model in bf16 and convert the result.",
    )
    .action(async (model: string, adapter: string, options: { readonly output: string }, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalOptions>();
      const transfer = new Transfer();
      const report = await mergeAdapter(model, adapter, options.output, {
        signal: interrupted.signal,
        onProgress: ({ tensor, ...bytes }) => showProgress(`${transfer.line(bytes)}: ${tensor}`),
      });
      showProgress("");
      if (json) printJson(report);
      else
        process.stdout.write(
          `${report.matrices.map(line).join("\n")}\n${report.target}: ${report.matrices.length} matrices merged\n`,
        );
    });
}

function line({ name, form, change, rounding }: MergedMatrix): string {
  const percent = (share: number) => `${(100 * share).toFixed(2).padStart(6)} %`;
  const stored = typeof form === "string" ? form : `int${form.bits} block ${form.block}`;
  return `changed by ${percent(change)}, rounded by ${percent(rounding)}  ${stored.padEnd(16)}${printable(name)}`;
}
