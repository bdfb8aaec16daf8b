// kelix imagine PROMPT -o FILE: images for a prompt.

import { type Command, Option } from "commander";
import type { ImagineOptions, Kelix } from "../index.ts";
import { decimal, type GlobalOptions, integer, withModel } from "./context.ts";
import { addDrawingOptions, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";
import { readPrompt } from "./inputs.ts";
import { checkStandardOutput, ImageOutputs, numbered } from "./outputs.ts";

interface Options extends DrawingOptions, Pick<ImagineOptions, "positions"> {
  readonly n: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

export function define(command: Command): void {
  command.argument("<prompt>", "what to draw; - reads it from standard input");
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
    .action(async (argument: string, { output, seed: first, n, ...options }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      checkStandardOutput(output, globals);
      const names = n === 1 ? [output] : Array.from({ length: n }, (_, i) => numbered(output, i + 1));
      const outputs = await ImageOutputs.open(output, names);
      const prompt = await readPrompt(argument);
      const draw = async (kelix: Kelix) => {
        const files = new DrawnFiles(outputs, names, globals);
        let i = 0;
        try {
          for (; i < n; i++) {
            const seed = first + i;
            const picture = await kelix.imagine(prompt, { ...options, ...watched, seed });
            await files.write(i, picture, { seed });
          }
        } catch (error) {
          if (i === 0) throw error;
          files.fail(i, error); // what is finished stays; the next would fail likewise
        }
        files.end();
      };
      await withModel(globals, draw, outputs.outputs).finally(() => outputs.close());
    });
}
