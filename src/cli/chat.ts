// kelix chat [IMAGE..]: a conversation in the terminal, or with lines from a pipe. Images go in by path ("/image FILE") and come back
// as files in the working folder.

import { on } from "node:events";
import { lstat } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import {
  type ChatMessage,
  type ChatOptions,
  type ContentPart,
  type DrawnImage,
  descriptorOf,
  type ImageCodes,
  type ImageInput,
  InputError,
  type Kelix,
  optionsOf,
  writeImage,
} from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { complain, complainOf } from "./failures.ts";
import { inputPath } from "./inputs.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, note } from "./terminal.ts";

const HELP = "/image FILE adds an image to your next message, /new starts over, /quit ends.";

export function define(command: Command): void {
  addFlags(command, optionsOf.chat, { seed: "<n>" })
    .option("--no-receipt", "do not keep in its PNG what an image was drawn with, the conversation included")
    .argument("[image...]", "images of the first message")
    .addHelpText(
      "after",
      `\nIn the conversation: ${HELP}\nImages that the model draws are written into the working folder.\n\nExamples:\n  kelix chat cat.png\n  kelix chat cat.png < questions.txt`,
    )
    .action(async (images: string[], options: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      if (images.some((image) => descriptorOf(inputPath(image)) === 0))
        throw new InputError("Standard input is the conversation: give the image as a file", {
          code: "invalid_option",
        });
      await withModel(globals, (kelix) => converse(kelix, images, options));
    });
}

type Options = Pick<ChatOptions, "seed" | "receipt">;
type Parts<T> = ContentPart<T>[];

async function converse(kelix: Kelix, images: readonly string[], options: Options): Promise<void> {
  const { signal } = interrupted;
  const given: Parts<ImageInput> = images.map((image) => ({ type: "image", image }));
  let messages: ChatMessage[] = [];
  let pending = given;
  note(HELP);
  for await (const line of readLines()) {
    const text = line.trim();
    const image = /^\/image\s+(\S.*)$/.exec(text)?.[1];
    if (text === "/quit") break;
    if (text === "/new") {
      messages = [];
      pending = [];
    } else if (image !== undefined) pending.push({ type: "image", image: unquote(image) });
    else if (/^\/\w*$/.test(text)) complain(`There is no ${text}. ${HELP}`);
    else if (text !== "") {
      const asked: ChatMessage[] = [...messages, { role: "user", content: [...pending, { type: "text", text }] }];
      pending = [];
      try {
        messages = [...asked, { role: "assistant", content: await answer(kelix, asked, options) }];
      } catch (error) {
        signal.throwIfAborted();
        complainOf(error);
      }
    }
  }
  signal.throwIfAborted();
}

/** Prints the answer as it is generated. */
async function answer(
  kelix: Kelix,
  asked: readonly ChatMessage[],
  options: Options,
): Promise<Parts<ImageInput | ImageCodes>> {
  const parts: Parts<ImageInput | ImageCodes> = [];
  try {
    for await (const event of kelix.chat(asked, { ...options, signal: interrupted.signal })) {
      if (event.type === "text") {
        process.stdout.write(event.text);
        parts.push({ type: "text", text: event.text });
      } else if (event.type === "image") {
        process.stdout.write(`[${await save(event.image)}]`);
        parts.push({ type: "image", image: event.codes });
      }
    }
  } catch (error) {
    if (parts.length > 0) process.stdout.write("\n");
    throw error;
  }
  process.stdout.write("\n");
  return parts;
}

/** Writes a drawn image and returns the file's name. If it cannot be written, the conversation continues. */
async function save(image: DrawnImage): Promise<string> {
  let file: string;
  let i = 1;
  do file = `kelix-${i++}.png`;
  while (await lstat(file).catch(() => undefined)); // from an earlier conversation
  try {
    await writeImage(file, image);
    return file;
  } catch (error) {
    complainOf(error);
    return "image";
  }
}

/** Unquotes a path as a shell does, since terminals quote the names of dropped files. */
function unquote(name: string): string {
  const [, , quoted] = /^(["'])(.*)\1$/.exec(name) ?? [];
  return quoted ?? name.replace(/\\(?=[\s"'()[\]&;$!\\])/g, "");
}

/** Lines of standard input, each read after the previous one is handled; the last may come after the end of input. */
async function* readLines(): AsyncGenerator<string, void, void> {
  const { signal } = interrupted;
  const terminal = createInterface({ input: process.stdin, ...(process.stdin.isTTY && { output: process.stderr }) });
  // In a terminal the line editor handles Ctrl-C.
  terminal.on("SIGINT", () => interrupted.abort());
  terminal.setPrompt("> ");
  let isOpen = true;
  terminal.on("close", () => {
    isOpen = false;
  });
  const prompt = () => isOpen && terminal.prompt(); // throws after the end since Node 24
  try {
    const lines = on(terminal, "line", { close: ["close"], signal });
    prompt();
    for await (const [line] of lines) {
      yield line;
      prompt();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    terminal.close();
  }
}
