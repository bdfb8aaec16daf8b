// kelix describe IMAGE..: text for each picture, streamed as it is made.

import type { Command } from "commander";
import { publicUrl } from "../safe-url.ts";
import { type GlobalOptions, integer, interrupted, printJson, withModel } from "./context.ts";

export function addDescribe(program: Command): void {
  program
    .command("describe")
    .description("say what pictures show, or answer a question about them")
    .argument("<image...>", "paths or URLs")
    .option("--prompt <text>", "what to ask", "What is this?")
    .option("--max-new-tokens <n>", "length of an answer at most", integer(1, 100_000), 256)
    .addHelpText(
      "after",
      '\nExamples:\n  kelix describe cat.png\n  kelix describe shapes.png --prompt "How many shapes are there?"',
    )
    .action(async (images: string[], options: { prompt: string; maxNewTokens: number }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await withModel(globals, async (kelix) => {
        const results: { image: string; text: string }[] = [];
        for (const image of images) {
          const content = [
            { type: "image", image },
            { type: "text", text: options.prompt },
          ] as const;
          let text = "";
          if (!globals.json && images.length > 1) process.stdout.write(`${publicUrl(image)}: `);
          for await (const piece of kelix.chat([{ role: "user", content }], {
            maxNewTokens: options.maxNewTokens,
            signal: interrupted.signal,
          })) {
            if (typeof piece !== "string") continue;
            if (!globals.json) process.stdout.write(piece);
            text += piece;
          }
          if (!globals.json) process.stdout.write(text.endsWith("\n") ? "" : "\n");
          results.push({ image: publicUrl(image), text: text.trim() });
        }
        if (globals.json) printJson(results);
      });
    });
}
