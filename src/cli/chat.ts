// kelix chat [IMAGE..]: a conversation in the terminal. Pictures go in by path ("/image FILE") and come back as files.

import { existsSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import {
  type ChatMessage,
  type ContentPart,
  type ImageCodes,
  type ImageInput,
  InputError,
  type Kelix,
  writePng,
} from "../index.ts";
import { complain, type GlobalOptions, interrupted, note, parseSeed, withModel } from "./context.ts";

const HELP = "/image FILE adds a picture to your next message, /new starts over, /quit ends.";

export function addChat(program: Command): void {
  program
    .command("chat")
    .description("talk with the model about pictures, and have it draw some")
    .argument("[image...]", "pictures of the first message")
    .option("--seed <n>", "the same seed gives the same answers", parseSeed, 0)
    .addHelpText("after", `\nIn the conversation: ${HELP}\n\nExample:\n  kelix chat cat.png`)
    .action(async (images: string[], { seed }: { seed: number }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      if (globals.json)
        throw new InputError("A conversation is not one value: chat has no --json", { code: "invalid_option" });
      await withModel(globals, (kelix) => converse(kelix, images, seed));
    });
}

function pictureFile(count: number): string {
  return `kelix-${count}.png`;
}

async function converse(kelix: Kelix, images: readonly string[], seed: number): Promise<void> {
  const terminal = createInterface({
    input: process.stdin,
    ...(process.stdin.isTTY && { output: process.stderr }),
    signal: interrupted.signal,
  });
  // In a terminal the line editor takes Ctrl-C for itself.
  terminal.on("SIGINT", () => interrupted.abort());
  let messages: ChatMessage[] = [];
  let pending: ContentPart<ImageInput>[] = images.map((image) => ({ type: "image", image }));
  let drawn = 0;
  terminal.setPrompt("> ");
  note(HELP);
  try {
    terminal.prompt();
    for await (const line of terminal) {
      const text = line.trim();
      if (text === "/quit") break;
      if (text === "/new") {
        messages = [];
        pending = [];
      } else if (text.startsWith("/image "))
        pending.push({ type: "image", image: text.slice("/image ".length).trim() });
      else if (/^\/\w*$/.test(text)) complain(`There is no ${text}. ${HELP}`);
      else if (text !== "") {
        const asked: ChatMessage[] = [...messages, { role: "user", content: [...pending, { type: "text", text }] }];
        const answer: ContentPart<ImageInput | ImageCodes>[] = [];
        try {
          for await (const piece of kelix.chat(asked, { seed, signal: interrupted.signal })) {
            if (typeof piece === "string") {
              process.stdout.write(piece);
              answer.push({ type: "text", text: piece });
            } else {
              do drawn++;
              while (existsSync(pictureFile(drawn))); // of an earlier conversation
              const file = pictureFile(drawn);
              await writePng(file, piece.image);
              process.stdout.write(`[${file}]`);
              answer.push({ type: "image", image: piece.image.codes });
            }
          }
          process.stdout.write("\n");
          messages = [...asked, { role: "assistant", content: answer }];
          pending = [];
        } catch (error) {
          interrupted.signal.throwIfAborted();
          complain((error as Error).message);
          pending = [];
        }
      }
      terminal.prompt();
    }
    interrupted.signal.throwIfAborted();
  } finally {
    terminal.close();
  }
}
