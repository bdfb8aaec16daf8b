// kelix plan [MODEL]: what a model needs on this machine and how long it takes, before anything is loaded or downloaded.

import type { Command } from "commander";
import { examineMachine, type ModelPlan, planModel, type TaskPlan } from "../index.ts";
import { type GlobalOptions, partFolders, showTransfer, showWait } from "./context.ts";
import { printTable, skippedFields } from "./table.ts";
import { interrupted, printJson, showProgress } from "./terminal.ts";
import { formatBytes, formatSeconds } from "./transfer.ts";

export function define(command: Command): void {
  command
    .argument("[model]", "a folder, a repository of the Hub, or a built-in name (default: --model)")
    .addHelpText(
      "after",
      "\nFor a repository that is not in the cache, only the configs are downloaded.\n" +
        "\nExample:\n  kelix plan OpenOneRec/Kelix-SFT --vae Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers",
    )
    .action(async (model: string | undefined, _: object, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions & { model: string }>();
      showProgress("measuring the machine");
      const machine = await examineMachine(globals.threads === undefined ? {} : { threads: globals.threads });
      showProgress("");
      const plan = await planModel(model ?? globals.model, machine, {
        ...partFolders(globals),
        signal: interrupted.signal,
        onProgress: showTransfer(),
        onWait: showWait,
      });
      if (globals.json) printJson(plan);
      else printTable(describe(plan));
    });
}

function describe({
  name,
  path,
  faults,
  unknownFields,
  machine,
  disk,
  answer,
  answers,
  image,
  smaller,
}: ModelPlan): [string, string][] {
  const { cores, memory, speeds } = machine;
  const perSecond = (bytes: number) => `${formatBytes(bytes)}/s`;
  const rate = (flopPerS: number) => `${(flopPerS / 1e9).toFixed(0)} GFLOP/s`;
  return [
    ["model", name === path ? name : `${name}, in ${path}`],
    ...skippedFields(unknownFields),
    ...faults.map((fault, i): [string, string] => [i === 0 ? "does not load" : "", fault]),
    [
      "machine",
      `${cores} cores, ${rate(speeds.flopPerS)}, with 4-bit weights ${rate(speeds.quantizedFlopPerS)}; ` +
        `reads ${perSecond(speeds.readBytesPerS)}, 4-bit weights ${perSecond(speeds.quantizedBytesPerS)}`,
    ],
    [
      "disk",
      `${formatBytes(disk.modelBytes)} of weights, ${formatBytes(disk.missingBytes)} of them missing; ` +
        `${formatBytes(disk.freeBytes)} free`,
    ],
    ["memory available", `${formatBytes(memory.availableBytes)} of ${formatBytes(memory.totalBytes)}`],
    ...describeTask("an answer about an image", answer),
    [`${answers.count} at once`, describeNeed(answers)],
    ...(image ? describeTask("an image", image) : ([["an image", "the model cannot draw"]] as [string, string][])),
    ...smaller.map(({ weights, answerBytes, imageBytes }): [string, string] => [
      `with ${weights} weights`,
      `${formatBytes(answerBytes)} of memory${imageBytes === undefined ? "" : `, ${formatBytes(imageBytes)} to draw`}: ` +
        `kelix convert ${name} NEW_FOLDER --weights ${weights}`,
    ]),
  ];
}

function describeNeed({ memoryBytes, fits }: Pick<TaskPlan, "memoryBytes" | "fits">): string {
  return `about ${formatBytes(memoryBytes)} of memory${fits ? "" : ", MORE THAN IS AVAILABLE"}`;
}

function describeTask(name: string, { memoryBytes, fits, seconds, parts }: TaskPlan): [string, string][] {
  return [
    [name, `${describeNeed({ memoryBytes, fits })}; about ${formatSeconds(seconds)}`],
    ...parts.map(({ what, seconds }): [string, string] => [
      `  ${what}`,
      seconds < 100 ? `${seconds.toPrecision(2)} s` : formatSeconds(seconds),
    ]),
  ];
}
