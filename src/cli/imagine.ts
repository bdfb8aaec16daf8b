// kelix imagine PROMPT -o FILE.png: pictures for a prompt.

import { type Command, Option } from "commander";
import type { ImagineOptions } from "../index.ts";
import { decimal, type GlobalOptions, integer, numbered, withModel } from "./context.ts";
import { addDrawingOptions, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";

interface Options extends DrawingOptions, Pick<ImagineOptions, "positions"> {
  readonly n: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

export function addImagine(program: Command): void {
  const command = program.command("imagine").description("draw a picture for a prompt").argument("<prompt>");
  addDrawingOptions(command, "with --n above 1 a number is added to the name")
    .option("--n <n>", "how many, with seeds one after the other", integer(1, 1000), 1)
    .option("--temperature <x>", "0 takes the likeliest codes", decimal(0, 100))
    .option("--top-k <n>", "only the k likeliest codes; 0 for all", integer(0, 1_000_000))
    .option("--top-p <x>", "only the likeliest codes up to this probability", decimal(0.001, 1))
    .addOption(
      new Option("--positions <whose>", "where codes are said to lie; demo: as the released demo guesses").choices([
        "training",
        "demo",
      ]),
    )
    .addHelpText("after", '\nExample:\n  kelix imagine "two red circles" -o circles.png --seed 3 --n 4')
    .action(async (prompt: string, { output, seed: first, n, ...options }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const files = new DrawnFiles(globals);
        for (let i = 0; i < n; i++) {
          const seed = first + i;
          const picture = await kelix.imagine(prompt, { ...options, ...watched, seed });
          await files.write(n === 1 ? output : numbered(output, i + 1), picture, { seed });
        }
        files.end();
      });
    });
}
