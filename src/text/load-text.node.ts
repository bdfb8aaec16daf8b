// Reads a model folder's tokenizer and chat template from the disk.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ChatTemplate } from "./chat-template.ts";
import { TextTokenizer } from "./tokenizer.ts";

export interface TextFiles {
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: ChatTemplate;
}

/** A template beyond this is none: the released models' have a few thousand characters. */
const MAX_TEMPLATE_BYTES = 200_000;

/** tokenizer.json and chat_template.jinja of a folder; throws, naming the file, when one is missing or unusable. */
export async function loadText(folder: string): Promise<TextFiles> {
  const path = join(folder, "chat_template.jinja");
  const template = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path}: cannot be read (${error.code})`);
  });
  if (template.length > MAX_TEMPLATE_BYTES)
    throw new Error(`${path} has ${template.length} characters; at most ${MAX_TEMPLATE_BYTES} are read`);
  return { tokenizer: await TextTokenizer.load(folder), chatTemplate: new ChatTemplate(template) };
}
