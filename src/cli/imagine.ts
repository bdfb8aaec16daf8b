// kelix imagine PROMPT -o FILE.png: pictures for a prompt.

import type { Command } from "commander";
import { type ImagineOptions, writePng } from "../index.ts";
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
  readonly n: number;
  readonly steps?: number;
  readonly guidance?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

export function addImagine(program: Command): void {
  program
    .command("imagine")
    .description("draw a picture for a prompt")
    .argument("<prompt>")
    .requiredOption("-o, --output <file>", "PNG file; with --n above 1 a number is added to the name")
    .option("--seed <n>", "the same seed gives the same picture", parseSeed, 0)
    .option("--n <n>", "how many, with seeds one after the other", integer(1, 1000), 1)
    .option("--steps <n>", "steps of the sampler", integer(1, 1000))
    .option("--guidance <x>", "classifier-free guidance; 1 is none", decimal(0, 100))
    .option("--temperature <x>", "0 takes the likeliest codes", decimal(0, 100))
    .option("--top-k <n>", "only the k likeliest codes; 0 for all", integer(0, 1_000_000))
    .option("--top-p <x>", "only the likeliest codes up to this probability", decimal(0.001, 1))
    .addHelpText("after", '\nExample:\n  kelix imagine "two red circles" -o circles.png --seed 3 --n 4')
    .action(async (prompt: string, { output, seed, n, ...drawing }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const files: { file: string; seed: number; width: number; height: number }[] = [];
        for (let i = 0; i < n; i++) {
          const options: ImagineOptions = { ...pick(drawing), seed: seed + i, signal: interrupted.signal, onProgress };
          const picture = await kelix.imagine(prompt, options);
          const file = n === 1 ? output : numbered(output, i + 1);
          await writePng(file, picture);
          files.push({ file, seed: seed + i, width: picture.width, height: picture.height });
          if (!globals.json) note(`${file}: ${picture.width} x ${picture.height}, seed ${seed + i}`);
        }
        if (globals.json) printJson(files);
      });
    });
}

function pick({ steps, guidance, temperature, topK, topP }: Omit<Options, "output" | "seed" | "n">): ImagineOptions {
  return {
    ...(steps !== undefined && { steps }),
    ...(guidance !== undefined && { guidance }),
    ...(temperature !== undefined && { temperature }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
  };
}
