// kelix reconstruct IMAGE|CODES -o FILE.png: pixels from codes alone.

import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { InputError, type ReconstructOptions } from "../index.ts";
import { readCodes } from "./code-files.ts";
import { type GlobalOptions, numbered, withModel } from "./context.ts";
import { addDrawingOptions, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";

interface Options extends DrawingOptions, Pick<ReconstructOptions, "keepSize" | "fusion"> {}

export function addReconstruct(program: Command): void {
  const command = program
    .command("reconstruct")
    .description("draw a picture from its codes alone")
    .argument("<input>", "a picture, or a file written by kelix tokenize");
  addDrawingOptions(command, "a number is added for each further picture of a file of codes")
    .option("--keep-size", "keep the picture's size and aspect where the model's recipe takes a square")
    .addOption(
      new Option("--fusion <how>", "how the codes' embeddings are fused; as the model says if absent").choices([
        "sum",
        "mean",
      ]),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  kelix reconstruct cat.png -o back.png\n  kelix reconstruct cat.safetensors -o back.png --steps 20",
    )
    .action(async (input: string, { output, ...options }: Options, command: Command) => {
      if (resolve(input) === resolve(output))
        throw new InputError(`${output} would be written over what it is drawn from: name another file with -o`, {
          code: "invalid_option",
        });
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const sources = input.endsWith(".safetensors") ? await readCodes(input) : [input];
        const files = new DrawnFiles(globals);
        for (const [i, source] of sources.entries()) {
          const picture = await kelix.reconstruct(source, { ...options, ...watched });
          await files.write(i === 0 ? output : numbered(output, i + 1), picture);
        }
        files.end();
      });
    });
}
