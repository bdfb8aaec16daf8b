// kelix convert SRC DST --weights int4: stores a model at lower precision, as a folder that loads like any other.

import type { Command } from "commander";
import { type ConvertedTensor, type ConvertReport, convertModel } from "../quantize/convert.ts";
import { type ConvertOptions, convertOptions } from "../quantize/options.ts";
import type { StoredForm } from "../quantize/precision.ts";
import { type GlobalOptions, partFolders, showTransfer, showWait } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printable, printJson, showProgress } from "./terminal.ts";
import { formatBytes, Transfer } from "./transfer.ts";

export function define(command: Command): void {
  addFlags(command, convertOptions, { weights: "<format>", block: "<n>" })
    .argument("<source>", "a folder, a repository of the Hub or a built-in name")
    .argument("<target>", "the new folder")
    .addHelpText(
      "after",
      "\nExample:\n  kelix convert kelix-nano nano-int4 --weights int4 && kelix describe cat.png --model nano-int4",
    )
    .action(async (source: string, target: string, options: ConvertOptions, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const transfer = new Transfer();
      const report = await convertModel(source, target, {
        ...options,
        ...partFolders(globals),
        signal: interrupted.signal,
        onFetch: showTransfer(),
        onWait: showWait,
        onProgress: ({ tensor, ...bytes }) => showProgress(`${transfer.line(bytes)}: ${tensor}`),
      });
      showProgress("");
      if (globals.json) printJson(asJson(report));
      else process.stdout.write(asTable(report));
    });
}

function asJson({ tensors, ...report }: ConvertReport) {
  return {
    ...report,
    relativeError: relativeError(tensors),
    tensors: tensors.map((tensor) => ({
      name: tensor.name,
      shape: tensor.shape,
      form: formName(tensor.form),
      bytes: tensor.bytes,
      relativeError: relativeError([tensor]),
    })),
  };
}

/** One line per changed tensor, then one per format and one for the total. */
function asTable({ tensors, dropped, sourceBytes, targetBytes, target }: ConvertReport): string {
  const forms = [...new Set(tensors.map(({ form }) => formName(form)))].sort();
  const changed = tensors.filter(({ error }) => error > 0);
  const lines = [
    ...changed.map(
      (tensor) => `${errorColumns([tensor])}  ${formName(tensor.form).padEnd(16)}${printable(tensor.name)}`,
    ),
    ...forms.map((form) => {
      const own = tensors.filter((tensor) => formName(tensor.form) === form);
      return `${errorColumns(own)}  ${form.padEnd(16)}${own.length} tensors, ${formatBytes(own.reduce((sum, { bytes }) => sum + bytes, 0))}`;
    }),
    `${errorColumns(tensors)}  ${"all".padEnd(16)}${tensors.length} tensors, ${formatBytes(sourceBytes)} became ${formatBytes(targetBytes)} in ${target}`,
    ...(dropped.length ? [`left out, not read when the model runs: ${printable(dropped.join(", "))}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

/** "  7.59 %  22.4 dB" */
function errorColumns(tensors: readonly ConvertedTensor[]): string {
  const error = relativeError(tensors);
  const decibels = error === 0 ? "exact" : `${(-20 * Math.log10(error)).toFixed(1)} dB`;
  return `${(100 * error).toFixed(3).padStart(7)} %  ${decibels.padStart(7)}`;
}

/** Square root of the squared error over the sum of squares. */
function relativeError(tensors: readonly ConvertedTensor[]): number {
  const error = tensors.reduce((sum, tensor) => sum + tensor.error, 0);
  return error === 0 ? 0 : Math.sqrt(error / tensors.reduce((sum, tensor) => sum + tensor.energy, 0));
}

/** "int4 block 32" */
function formName(form: StoredForm): string {
  return typeof form === "string" ? form : `int${form.bits} block ${form.block}`;
}
