// kelix describe IMAGE..: text for each image, streamed as it is generated.

import type { Command } from "commander";
import { type Kelix, optionsOf, publicUrl } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { checkInputs, forEachImage, inputPath, readPrompt } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printable, printJson } from "./terminal.ts";

interface Options {
  readonly prompt: string;
  readonly maxNewTokens: number;
}

export function define(command: Command): void {
  addFlags(command, optionsOf.chat, { maxNewTokens: "<n>" })
    .argument("<image...>", "paths or URLs; - reads standard input")
    .option("--prompt <text>", "what to ask; - reads it from standard input", "What is this?")
    .addHelpText(
      "after",
      '\nExamples:\n  kelix describe cat.png\n  kelix describe shapes.png --prompt "How many shapes are there?"\n  curl -s https://example.org/cat.jpg | kelix describe -',
    )
    .action(async (images: string[], options: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      checkInputs([...images, options.prompt]);
      const prompt = await readPrompt(options.prompt);
      await withModel(globals, async (kelix) => {
        const results = await forEachImage(images, async (image) => {
          const name = images.length > 1 ? `${printable(publicUrl(image))}: ` : "";
          const text = await describe(kelix, image, { ...options, prompt }, globals.json ? undefined : name);
          return { image: publicUrl(image), text };
        });
        if (globals.json) printJson(results);
      });
    });
}

/** Prints the answer after `name` as it is generated; prints nothing without a name. */
async function describe(
  kelix: Kelix,
  image: string,
  { prompt, maxNewTokens }: Options,
  name: string | undefined,
): Promise<string> {
  const content = [
    { type: "image", image: inputPath(image) },
    { type: "text", text: prompt },
  ] as const;
  let text = "";
  let isBegun = false;
  const print = (piece: string) => {
    if (name === undefined) return;
    process.stdout.write(isBegun ? piece : `${name}${piece}`);
    isBegun = true;
  };
  try {
    for await (const event of kelix.chat([{ role: "user", content }], { maxNewTokens, signal: interrupted.signal })) {
      if (event.type !== "text") continue;
      print(event.text);
      text += event.text;
    }
    if (!isBegun) print("");
  } finally {
    if (isBegun && !text.endsWith("\n")) process.stdout.write("\n");
  }
  return text.trim();
}
