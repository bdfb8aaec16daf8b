// kelix tokenize IMAGE.. -o FILE: encodes images as codes.

import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { checkCodesOutput, checkCount, imageName, type NamedCodes, writeCodes } from "../corpus/code-files.ts";
import { InputError, type Kelix, openOutput, publicUrl } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { checkInputs, forEachImage, inputPath, isFailure, withoutFailures } from "./inputs.ts";
import { checkStandardOutput, outputPath } from "./outputs.ts";
import { quote } from "./quote.ts";
import { runHere, shardsOf } from "./shards.ts";
import { interrupted, note, printJson } from "./terminal.ts";

export function define(command: Command): void {
  command
    .argument(
      "<image...>",
      "paths or URLs, - for standard input; or shards: folders, .tar, .parquet, s3://bucket/{000..999}.tar",
    )
    .requiredOption(
      "-o, --output <file>",
      ".safetensors or .json, - for standard output; for shards a folder, or s3://bucket/prefix",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  kelix tokenize cat.png -o cat.safetensors && kelix reconstruct cat.safetensors -o back.png\n  kelix tokenize photos.tar drawings/ -o codes",
    )
    .action(async (images: string[], options: { output: string }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      if (await nameShards(images))
        return runHere(await shardsOf({ task: "tokenize", options: {} }, images, options.output, globals), globals);
      checkInputs(images);
      checkCount(images.length, options.output);
      checkStandardOutput(options.output, globals);
      const inputs = images.map(inputPath);
      const output = await openOutput(outputPath(options.output), { inputs, signal: interrupted.signal });
      checkCodesOutput(output);
      const use = async (kelix: Kelix) => {
        const results = await forEachImage(images, async (image) => {
          const codes = await kelix.tokenize(inputPath(image), { signal: interrupted.signal });
          return { image: publicUrl(image), ...codes };
        });
        const done = withoutFailures(results);
        if (done.length > 0)
          await writeCodes(
            output,
            done.map((codes) => ({ ...codes, image: imageName(codes.image) })),
            basename(kelix.info().path),
          );
        if (globals.json) {
          const file = done.length > 0 ? options.output : null;
          printJson({ file, images: results.map((result) => (isFailure(result) ? result : facts(result))) });
        } else {
          for (const { image, grid, codesPerPosition } of done.map(facts))
            note(`${image}: ${grid[0]} x ${grid[1]} positions of ${codesPerPosition} codes -> ${options.output}`);
        }
      };
      await withModel(globals, use, [output]).finally(() => output.close());
    });
}

function facts({ image, grid, codes }: NamedCodes) {
  return { image, grid, codesPerPosition: codes.length / (grid[0] * grid[1]) };
}

/** Whether the arguments are shards of a corpus. Throws an InputError where only some are. */
async function nameShards(names: readonly string[]): Promise<boolean> {
  const isShard = async (name: string) =>
    /\.(tar|parquet)$|^s3:/i.test(name) || ((await stat(name).catch(() => undefined))?.isDirectory() ?? false);
  const found = await Promise.all(names.map(isShard));
  const image = names[found.indexOf(false)];
  if (!found.includes(true) || image === undefined) return found.includes(true);
  throw new InputError(
    `${quote(publicUrl(image))} is an image among shards; put it into a folder, or call tokenize twice`,
    {
      code: "invalid_option",
    },
  );
}
