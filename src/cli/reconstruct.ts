// kelix reconstruct IMAGE|CODES -o FILE: decodes pixels from codes alone.

import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { areCodes, holdsCodes, parseCodes, readCodes } from "../corpus/code-files.ts";
import {
  type CodeFields,
  type ImageInput,
  isStream,
  type Kelix,
  optionsOf,
  type ReconstructOptions,
  readInput,
} from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addDrawingOptions, type DrawingOptions, DrawnFiles, watched } from "./drawing.ts";
import { inputPath } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { checkStandardOutput, ImageOutputs, numbered } from "./outputs.ts";
import { interrupted } from "./terminal.ts";

interface Options extends DrawingOptions, Pick<ReconstructOptions, "keepSize" | "fusion"> {}

export function define(command: Command): void {
  command.argument("<input>", "an image, or codes from kelix tokenize; - reads standard input");
  addDrawingOptions(command, "if the input has several images, a number is added to the name");
  addFlags(command, optionsOf.reconstruct, { keepSize: "", fusion: "<how>" })
    .addHelpText(
      "after",
      "\nExamples:\n  kelix reconstruct cat.png -o back.png\n  kelix reconstruct cat.safetensors -o back.png --steps 20",
    )
    .action(async (input: string, { output, ...options }: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      checkStandardOutput(output, globals);
      const sources = await readSources(input);
      const names = sources.map((_, i) => (i === 0 ? output : numbered(output, i + 1)));
      const outputs = await ImageOutputs.open(output, names, [inputPath(input)]);
      const draw = async (kelix: Kelix) => {
        const files = new DrawnFiles(outputs, names, globals);
        for (const [i, source] of sources.entries()) {
          try {
            await files.write(i, await kelix.reconstruct(source, { ...options, ...watched }));
          } catch (error) {
            files.fail(i, error);
          }
        }
        files.end();
      };
      await withModel(globals, draw, outputs.outputs).finally(() => outputs.close());
    });
}

type Source = CodeFields | ImageInput;

/** The path that an argument stands for; undefined for a URL of another kind. */
function localPath(input: string): string | undefined {
  if (/^(https?|data):/i.test(input)) return undefined;
  if (!/^file:/i.test(input)) return inputPath(input);
  try {
    return fileURLToPath(input);
  } catch {
    return undefined; // reading it as an image says what is wrong
  }
}

/** Everything in the input: the codes of a file, or one image. */
async function readSources(input: string): Promise<Source[]> {
  const path = localPath(input);
  if (path === undefined) return [input];
  if (!(await isStream(path))) return (await holdsCodes(path)) ? readCodes(path) : [path];
  const { signal } = interrupted;
  const bytes = await readInput(path, { signal });
  return areCodes(bytes) ? parseCodes(bytes, input === "-" ? "standard input" : path) : [bytes];
}
