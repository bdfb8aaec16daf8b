// kelix imagine PROMPT -o FILE: images for a prompt.

import type { Command } from "commander";
import { checkLastSeed } from "../arguments.ts";
import type { ImagineOptions, Kelix } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addDrawingOptions, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";
import { readPrompt } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { checkStandardOutput, ImageOutputs, numbered } from "./outputs.ts";

type Options = DrawingOptions & Pick<ImagineOptions, "n" | "temperature" | "topK" | "topP" | "positions">;

export function define(command: Command): void {
  command.argument("<prompt>", "what to draw; - reads it from standard input");
  addDrawingOptions(command, "with --n above 1 a number is added to the name");
  addFlags(command, "imagine", { n: "<n>", temperature: "<x>", topK: "<n>", topP: "<x>", positions: "<whose>" })
    .addHelpText("after", '\nExample:\n  kelix imagine "two red circles" -o circles.png --seed 3 --n 4')
    .action(async (argument: string, { output, seed: first, n = 1, ...options }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      checkStandardOutput(output, globals);
      checkLastSeed(first, n);
      const names = n === 1 ? [output] : Array.from({ length: n }, (_, i) => numbered(output, i + 1));
      const outputs = await ImageOutputs.open(output, names);
      const prompt = await readPrompt(argument);
      const draw = async (kelix: Kelix) => {
        const files = new DrawnFiles(outputs, names, globals);
        let i = 0;
        try {
          for (; i < n; i++) {
            const seed = first + i;
            const [image] = await kelix.imagine(prompt, { ...options, ...watched, seed });
            await files.write(i, image!, { seed });
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
