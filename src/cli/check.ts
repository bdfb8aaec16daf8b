// kelix check [MODEL]: whether each part of a model works here, as a report to paste into an issue.

import { type Command, Option } from "commander";
import { type CheckPart, checkModel, checkParts } from "../check/check.ts";
import { estimateCheck } from "../check/estimate.ts";
import { reportText } from "../check/report-text.ts";
import { KelixError } from "../index.ts";
import { type GlobalOptions, partFolders, showTransfer } from "./context.ts";
import { interrupted, note, printable, printJson, report, showProgress } from "./terminal.ts";
import { formatBytes, formatSeconds } from "./transfer.ts";

/** Longer waits are announced. */
const LONG_S = 20;

export function define(command: Command): void {
  command
    .argument("[model]", "a folder, a repository of the Hub, or a built-in name (default: --model)")
    .addOption(new Option("--skip <part...>", "parts to skip").choices(checkParts).default([]))
    .addHelpText(
      "after",
      "\nThe report has versions, sizes, times and hashes of results, and nothing that identifies you." +
        "\nThe exit status is 1 if a part fails. A part that the model lacks is not a failure." +
        "\nExample:\n  kelix check OpenOneRec/Kelix-SFT --skip imagine",
    )
    .action(async (model: string | undefined, { skip }: { skip: readonly CheckPart[] }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions & { model: string }>();
      const name = model ?? globals.model;
      await sayHowLong(name, skip, globals);
      const onTransfer = showTransfer();
      const report = await checkModel(name, {
        ...partFolders(globals),
        ...(globals.device && { device: globals.device }),
        ...(globals.threads && { threads: globals.threads }),
        ...(globals.ignoreMemory && { ignoreMemory: true }),
        skip,
        signal: interrupted.signal,
        onTask: (what) => showProgress(what),
        onProgress: ({ task, done, total }) => {
          if (task === "fetch") onTransfer({ doneBytes: done, totalBytes: total });
        },
      });
      showProgress("");
      if (globals.json) printJson(report);
      else process.stdout.write(reportText(report).split("\n").map(printable).join("\n"));
      const failed = report.tasks.filter(({ status }) => status === "failed").map(({ task }) => task);
      if (failed.length > 0) throw new KelixError(`${failed.join(", ")}: failed, see the report`);
    });
}

async function sayHowLong(name: string, skip: readonly CheckPart[], globals: GlobalOptions): Promise<void> {
  showProgress("measuring the machine");
  const options = {
    ...partFolders(globals),
    ...(globals.threads && { threads: globals.threads }),
    skip,
    signal: interrupted.signal,
  };
  // If the model cannot be planned, the report says why.
  const estimate = await estimateCheck(name, options).catch(() => undefined);
  interrupted.signal.throwIfAborted();
  showProgress("");
  if (!estimate) return;
  const { seconds, memoryBytes, parts } = estimate;
  const longest = checkParts.filter((part) => !skip.includes(part)).sort((a, b) => parts[b] - parts[a])[0];
  const text = `this takes at least ${formatSeconds(seconds)} and about ${formatBytes(memoryBytes)} of memory`;
  if (seconds < LONG_S || longest === undefined) note(text);
  else report(`${text}; without the longest part (--skip ${longest}) ${formatSeconds(seconds - parts[longest])}`);
}
