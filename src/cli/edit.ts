// kelix edit IMAGE PROMPT -o FILE: edits an image according to a prompt.

import type { Command } from "commander";
import { type EditOptions, type Kelix, optionsOf } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addDrawingOptions, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";
import { checkInputs, inputPath, readPrompt } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { checkStandardOutput, ImageOutputs } from "./outputs.ts";

type Options = DrawingOptions &
  Pick<EditOptions, "temperature" | "topK" | "topP" | "positions"> & { readonly mask?: string };

export function define(command: Command): void {
  command
    .argument("<image>", "a path or URL; - reads standard input")
    .argument("<prompt>", "what to change; - reads it from standard input");
  addDrawingOptions(command);
  addFlags(command, optionsOf.edit, { temperature: "<x>", topK: "<n>", topP: "<x>", positions: "<whose>" })
    .option("--mask <image>", "rewrite only where this image is white; default: everywhere")
    .addHelpText(
      "after",
      '\nExample:\n  kelix edit circles.png "make them blue" -o blue.png --mask left-half.png --seed 3',
    )
    .action(async (image: string, request: string, { output, mask, ...options }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const inputs = [image, ...(mask === undefined ? [] : [mask])];
      checkInputs([...inputs, request]);
      checkStandardOutput(output, globals);
      const outputs = await ImageOutputs.open(output, [output], inputs.map(inputPath));
      const prompt = await readPrompt(request);
      const draw = async (kelix: Kelix) => {
        const files = new DrawnFiles(outputs, [output], globals);
        const masked = mask === undefined ? {} : { mask: inputPath(mask) };
        const edited = await kelix.edit(inputPath(image), prompt, { ...options, ...watched, ...masked });
        await files.write(0, edited, { seed: edited.seed });
        files.end();
      };
      await withModel(globals, draw, outputs.outputs).finally(() => outputs.close());
    });
}
