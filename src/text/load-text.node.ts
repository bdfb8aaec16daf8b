// Reads a model folder's tokenizer and chat template from the disk.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readJsonIfPresent } from "../checkpoint/json-file.ts";
import { ChatTemplate } from "./chat-template.ts";
import { TextTokenizer } from "./tokenizer.ts";

export interface TextFiles {
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: ChatTemplate;
}

/** A template beyond this is none: the released models' have a few thousand characters. */
const MAX_TEMPLATE_BYTES = 200_000;

/**
 * tokenizer.json of a folder and its chat template: chat_template.jinja, or the one inside chat_template.json or
 * tokenizer_config.json, or else that of the released models. Throws, naming the file, when one is unusable.
 */
export async function loadText(folder: string): Promise<TextFiles> {
  const { file, template } = await findTemplate(folder);
  if (template.length > MAX_TEMPLATE_BYTES)
    throw new Error(`${file} has ${template.length} characters; at most ${MAX_TEMPLATE_BYTES} are read`);
  return { tokenizer: await TextTokenizer.load(folder), chatTemplate: new ChatTemplate(template) };
}

async function findTemplate(folder: string): Promise<{ readonly file: string; readonly template: string }> {
  const path = join(folder, "chat_template.jinja");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new Error(`${path}: cannot be read (${error.code})`);
  });
  if (text !== undefined) return { file: path, template: text };
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    const file = join(folder, name);
    const json = (await readJsonIfPresent(file, MAX_TOKENIZER_CONFIG_BYTES)) as { chat_template?: unknown } | undefined;
    if (typeof json?.chat_template === "string") return { file, template: json.chat_template };
  }
  return { file: "the released chat template", template: releasedTemplate };
}

/** Configs of slow tokenizers list every added token. */
const MAX_TOKENIZER_CONFIG_BYTES = 16_000_000;

/** Qwen's turns, with a system turn put first where there is none, and each picture between its two marks. */
export const releasedTemplate: string = [
  "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}",
  "{% for message in messages %}",
  "<|im_start|>{{ message.role }}\n",
  "{% if message.content is string %}{{ message.content }}{% else %}",
  "{% for part in message.content %}",
  "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}",
  "{% endfor %}{% endif %}<|im_end|>\n",
  "{% endfor %}",
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
].join("");
