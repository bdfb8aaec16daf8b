// kelix info [MODEL]: a model's parts, sizes and memory needs, without loading it.

import type { Command } from "commander";
import { type InspectedModel, inspectModel, listModelFiles, type PartInfo } from "../index.ts";
import { type GlobalOptions, partFolders, showTransfer, showWait } from "./context.ts";
import { printTable, skippedFields } from "./table.ts";
import { interrupted, printJson } from "./terminal.ts";
import { formatBytes } from "./transfer.ts";

export function define(command: Command): void {
  command
    .argument("[model]", "a folder, a repository of the Hub, or a built-in name (default: --model)")
    .option("--files", "print the files.json that lets a browser load the model from its folder's URL")
    .addHelpText("after", "\nExample:\n  kelix info kelix-nano\n  kelix info FOLDER --files > FOLDER/files.json")
    .action(async (model: string | undefined, _: object, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions & { model: string; files?: true }>();
      const info = await inspectModel(model ?? globals.model, {
        ...partFolders(globals),
        signal: interrupted.signal,
        onProgress: showTransfer(),
        onWait: showWait,
      });
      if (globals.files) printJson(await listModelFiles(info.path));
      else if (globals.json) printJson(info);
      else printTable(describe(info));
    });
}

const partNames: Readonly<Record<PartInfo["part"], string>> = {
  vision: "vision encoder and codebooks",
  languageModel: "language model",
  diffusionTransformer: "diffusion transformer",
  codesTransformer: "diffusion transformer for codes",
  autoencoder: "autoencoder",
};

function describe(info: InspectedModel): [string, string][] {
  const { tokenizeBytes, answerBytes, imageBytes } = info.memory;
  const answering =
    answerBytes === undefined ? `${formatBytes(tokenizeBytes)} to tokenize` : `${formatBytes(answerBytes)} to answer`;
  const drawing =
    imageBytes !== undefined
      ? `, ${formatBytes(imageBytes)} to draw`
      : answerBytes === undefined
        ? "" // an image tokenizer alone
        : "; it cannot draw";
  return [
    ["folder", info.path],
    ...info.parts.map((part): [string, string] => [partNames[part.part], describePart(part, info)]),
    ["codes", `${info.codebooks} codebooks of ${info.codesPerBook}`],
    ...(info.vocabulary > 0 ? [["text vocabulary", String(info.vocabulary)] as [string, string]] : []),
    ["memory", `about ${answering}${drawing}`],
    ...info.files.map(({ path, sizeBytes }, i): [string, string] => [
      i === 0 ? "files" : "",
      `${path.startsWith(`${info.path}/`) ? path.slice(info.path.length + 1) : path}, ${formatBytes(sizeBytes)}`,
    ]),
    ...(info.missingBytes > 0 ? [["weights missing", `${formatBytes(info.missingBytes)}`] as [string, string]] : []),
    ...skippedFields(info.unknownFields),
    ...info.faults.map((fault, i): [string, string] => [i === 0 ? "does not load" : "", fault]),
  ];
}

function describePart(
  { part, parameters, sizeBytes, precisions }: PartInfo,
  { width, layers }: InspectedModel,
): string {
  const shape = part === "languageModel" ? `, width ${width}, ${layers} layers` : "";
  // A hundredth of the bytes, such as the scales of norms, says nothing about the part.
  const forms = precisions.filter((form) => form.sizeBytes > sizeBytes / 100).map(({ precision }) => precision);
  return `${formatCount(parameters)}${shape}, ${formatBytes(sizeBytes)} ${forms.join(", ")}`;
}

function formatCount(parameters: number): string {
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(2)} G` : `${(parameters / 1e6).toFixed(2)} M`;
}
