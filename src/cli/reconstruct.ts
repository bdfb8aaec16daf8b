// kelix reconstruct IMAGE|CODES -o FILE.png: pixels from codes alone.

import type { Command } from "commander";
import { writePng } from "../index.ts";
import { readCodes } from "./code-files.ts";
import {
  decimal,
  type GlobalOptions,
  integer,
  interrupted,
  note,
  numbered,
  onProgress,
  parseSeed,
  printJson,
  withModel,
} from "./context.ts";

interface Options {
  readonly output: string;
  readonly seed: number;
  readonly steps?: number;
  readonly guidance?: number;
}

export function addReconstruct(program: Command): void {
  program
    .command("reconstruct")
    .description("draw a picture from its codes alone")
    .argument("<input>", "a picture, or a file written by kelix tokenize")
    .requiredOption("-o, --output <file>", "PNG file; a number is added for each further picture of a file of codes")
    .option("--seed <n>", "the same seed gives the same picture", parseSeed, 0)
    .option("--steps <n>", "steps of the sampler", integer(1, 1000))
    .option("--guidance <x>", "classifier-free guidance; 1 is none", decimal(0, 100))
    .addHelpText(
      "after",
      "\nExamples:\n  kelix reconstruct cat.png -o back.png\n  kelix reconstruct cat.safetensors -o back.png --steps 20",
    )
    .action(async (input: string, { output, seed, steps, guidance }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const sources = input.endsWith(".safetensors")
          ? await readCodes(input)
          : [await kelix.tokenize(input, { signal: interrupted.signal })];
        const files: { file: string; width: number; height: number }[] = [];
        for (const [i, codes] of sources.entries()) {
          const drawing = { seed, ...(steps !== undefined && { steps }), ...(guidance !== undefined && { guidance }) };
          const picture = await kelix.reconstruct(codes, { ...drawing, signal: interrupted.signal, onProgress });
          const file = i === 0 ? output : numbered(output, i + 1);
          await writePng(file, picture);
          files.push({ file, width: picture.width, height: picture.height });
          if (!globals.json) note(`${file}: ${picture.width} x ${picture.height}`);
        }
        if (globals.json) printJson(files);
      });
    });
}
