// Reads a model folder's tokenizer and chat template from the disk.

import { join } from "node:path";
import { readJsonIfPresent } from "../checkpoint/json-file.ts";
import { ModelError } from "../errors.ts";
import { readPlainFile, refuseStrangers } from "../files/plain-file.ts";
import { ChatTemplate, chooseTemplate } from "./chat-template.ts";
import { renderInSandbox, sandboxLimits, warmSandbox } from "./sandbox.node.ts";
import { MAX_TOKENIZER_CONFIG_BYTES, TextTokenizer } from "./tokenizer.ts";
import { TOKENIZER_CONFIG } from "./tokenizer-file.ts";

export interface TextFiles {
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: ChatTemplate;
}

/** A template beyond this is none: the released models' have a few thousand characters. */
const MAX_TEMPLATE_BYTES = 200_000;

/**
 * tokenizer.json of a folder and its chat template: chat_template.jinja, or the one inside chat_template.json or
 * tokenizer_config.json, or else that of the released models. Throws a ModelError, naming the file, when one is unusable.
 */
export async function loadText(folder: string): Promise<TextFiles> {
  warmSandbox();
  const config = await readConfig(join(folder, TOKENIZER_CONFIG));
  const { file, source } = await findTemplate(folder, config);
  if (Buffer.byteLength(source) > MAX_TEMPLATE_BYTES)
    throw new ModelError(
      `${file}: the chat template has ${source.length} characters; at most ${MAX_TEMPLATE_BYTES} bytes are read`,
    );
  const tokenizer = await TextTokenizer.load(folder);
  const setting = { file, variables: namedTokens(config), render: renderInSandbox, limits: sandboxLimits };
  return { tokenizer, chatTemplate: new ChatTemplate(source, setting) };
}

type Config = Readonly<Record<string, unknown>>;

async function readConfig(file: string): Promise<Config> {
  const json = (await readJsonIfPresent(file, MAX_TOKENIZER_CONFIG_BYTES)) ?? {};
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new ModelError(`${file}: is not an object of settings`);
  return json as Config;
}

async function findTemplate(
  folder: string,
  config: Config,
): Promise<{ readonly file: string; readonly source: string }> {
  const path = join(folder, "chat_template.jinja");
  const bytes = await readPlainFile(path, MAX_TEMPLATE_BYTES);
  if (bytes) {
    refuseStrangers(bytes, path);
    return { file: path, source: decodeText(bytes, path) };
  }
  const processor = join(folder, "chat_template.json");
  const places: readonly (readonly [file: string, config: Config])[] = [
    [processor, await readConfig(processor)],
    [join(folder, TOKENIZER_CONFIG), config],
  ];
  for (const [file, { chat_template }] of places) {
    const source = chooseTemplate(chat_template, file);
    if (source !== undefined) return { file, source };
  }
  return { file: "the released chat template", source: releasedTemplate };
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ModelError(`${file}: is not text in UTF-8`, { cause });
  }
}

/** Tokens that templates may name; a file has them as texts or with their settings. */
function namedTokens(config: Config): Record<string, string> {
  const names = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];
  return Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const value = config[name];
      const text = typeof value === "object" && value !== null ? (value as { content?: unknown }).content : value;
      return typeof text === "string" ? [[name, text]] : [];
    }),
  );
}

/** Qwen's turns, with a system turn put first where there is none, and each image between its two marks. */
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
