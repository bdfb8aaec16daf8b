// kelix replay IMAGE: draws an image again from its receipt, and compares.

import type { Command } from "commander";
import {
  type Kelix,
  KelixError,
  optionsOf,
  type Receipt,
  type Replay,
  readInput,
  readReceipt,
  replay,
} from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { watched } from "./drawing.ts";
import { complainOf } from "./failures.ts";
import { inputPath } from "./inputs.ts";
import { checkStandardOutput, ImageOutputs } from "./outputs.ts";
import { interrupted, printable, printJson } from "./terminal.ts";

export function define(command: Command): void {
  command
    .argument("<image>", "a PNG that Kelix drew; - reads standard input")
    .option("-o, --output <file>", "where to write the new image")
    .addHelpText(
      "after",
      "\nExit status: 0 if the new image is as expected, else 1. Expected are the same bytes if it was drawn alone with this\n" +
        "model, version, machine and number of threads, and nearly the same image otherwise.\n\n" +
        "Example:\n  kelix replay circles.png --threads 1 -o again.png",
    )
    .action(async (image: string, { output }: { readonly output?: string }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const path = inputPath(image);
      if (output !== undefined) checkStandardOutput(output, globals);
      const { signal } = interrupted;
      const bytes = await readInput(path, { code: "invalid_image", signal });
      const receipt = await readReceipt(bytes); // what is wrong with it is said before a model is loaded
      const outputs = output === undefined ? undefined : await ImageOutputs.open(output, [output], [path]);
      const draw = async (kelix: Kelix) => {
        const result = await replay(kelix, bytes, watched);
        await outputs?.write(0, result.image);
        tell(image, result, globals);
      };
      const threads = globals.threads ?? knownThreads(receipt);
      const settings = { ...globals, ...(threads !== undefined && { threads }) };
      await withModel(settings, draw, outputs?.outputs).finally(() => outputs?.close());
    });
}

function tell(file: string, { image: _, receipt, ...result }: Replay, { json }: GlobalOptions): void {
  const { verdict, expected, holds, notes, largestDifference, differentPixels } = result;
  if (json) printJson({ file, ...result, receipt });
  else {
    const far = largestDifference === undefined ? "" : `, by ${largestDifference} of 255 levels at most`;
    const found = {
      identical: "drawn again, all its pixels are the same",
      close: `drawn again, it is nearly the same: ${differentPixels} pixels differ${far}`,
      different: `drawn again, it is different${differentPixels > 0 ? `: ${differentPixels} pixels differ${far}` : ""}`,
    };
    const lines = [found[verdict], ...notes].map((line) => `${printable(`${file}: ${line}`)}\n`);
    process.stdout.write(lines.join(""));
  }
  if (!holds) complainOf(new KelixError(`${file}: should have come out ${expected}, and is ${verdict}`));
}

/** As many as the image was drawn with, where a model can be loaded so. */
function knownThreads(receipt: Receipt | undefined): number | undefined {
  const threads = optionsOf.load.shape.threads.safeParse(receipt?.machine.threads);
  return threads.data;
}
