// kelix imagine PROMPT -o FILE: draws images for a prompt; with --prompts FILE -o FOLDER, for many prompts.

import type { Command } from "commander";
import { type ImagineOptions, InputError, type Kelix, optionsOf } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addDrawingOptions, checkSeeds, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";
import { readPrompt } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { checkStandardOutput, ImageOutputs, numbered } from "./outputs.ts";
import { drawPrompts, readPrompts } from "./prompt-folder.ts";
import { note, printJson } from "./terminal.ts";

type Options = DrawingOptions &
  Pick<ImagineOptions, "n" | "temperature" | "topK" | "topP" | "positions"> & { readonly prompts?: string };

export function define(command: Command): void {
  command.argument("[prompt]", "what to draw; - reads it from standard input");
  addDrawingOptions(command, "with --n above 1 a number is added to the name; with --prompts a folder");
  command.option("--prompts <file>", "draw each line's prompt ({\"prompt\"} or plain text) into GenEval's folders");
  addFlags(command, optionsOf.imagine, { n: "<n>", temperature: "<x>", topK: "<n>", topP: "<x>", positions: "<whose>" })
    .addHelpText(
      "after",
      '\nExamples:\n  kelix imagine "two red circles" -o circles.png --seed 3 --n 4\n  kelix imagine --prompts evaluation_metadata.jsonl -o images --n 4',
    )
    .action(async (argument: string | undefined, { prompts, ...given }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      if ((argument === undefined) === (prompts === undefined))
        throw new InputError("imagine takes a prompt, or --prompts FILE", { code: "invalid_option" });
      if (prompts !== undefined) {
        await drawFile(prompts, given, globals);
        return;
      }
      const { output, seed: first, n = 1, ...options } = given;
      checkStandardOutput(output, globals);
      checkSeeds(first, n);
      const names = n === 1 ? [output] : Array.from({ length: n }, (_, i) => numbered(output, i + 1));
      const outputs = await ImageOutputs.open(output, names);
      const prompt = await readPrompt(argument!);
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
          files.fail(i, error); // finished files stay; the next would fail too
        }
        files.end();
      };
      await withModel(globals, draw, outputs.outputs).finally(() => outputs.close());
    });
}

async function drawFile(
  file: string,
  { output, seed, n = 1, ...options }: Options,
  globals: GlobalOptions,
): Promise<void> {
  checkSeeds(seed, n);
  const rows = await readPrompts(file);
  await withModel(globals, async (kelix) => {
    const folders = await drawPrompts(rows, output, (prompt, index) => {
      note(`prompt ${index + 1}/${rows.length}: ${prompt}`);
      return kelix.imagine(prompt, { ...options, ...watched, seed, n });
    });
    if (globals.json) printJson(folders.map((folder, i) => ({ folder, prompt: rows[i]!.prompt, n, seed })));
  });
}
