// Loads a model's tokenizer and chat template.

import { readJsonIfPresent } from "../checkpoint/json-file.ts";
import { ModelError } from "../errors.ts";
import { type ModelFiles, readWhole, refuseStrangers } from "../files/model-files.ts";
import { ChatTemplate, chooseTemplate, type TemplateSandbox } from "./chat-template.ts";
import { MAX_TOKENIZER_CONFIG_BYTES, TextTokenizer } from "./tokenizer.ts";
import { TOKENIZER_CONFIG } from "./tokenizer-file.ts";

export interface TextFiles {
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: ChatTemplate;
}

/** A larger file is not a real template: the released models' have a few thousand characters. */
const MAX_TEMPLATE_BYTES = 200_000;

/**
 * Loads a folder's tokenizer.json and chat template: chat_template.jinja, or the one inside chat_template.json or
 * tokenizer_config.json, or else that of the released models. Throws a ModelError that names an unusable file.
 */
export async function loadText(files: ModelFiles, sandbox: TemplateSandbox): Promise<TextFiles> {
  sandbox.warm();
  const config = await readConfig(files, TOKENIZER_CONFIG);
  const { file, source } = await findTemplate(files, config);
  if (new TextEncoder().encode(source).length > MAX_TEMPLATE_BYTES)
    throw new ModelError(
      `${file}: the chat template has ${source.length} characters; at most ${MAX_TEMPLATE_BYTES} bytes are read`,
    );
  const tokenizer = await TextTokenizer.load(files);
  const setting = { file, variables: namedTokens(config), sandbox };
  return { tokenizer, chatTemplate: new ChatTemplate(source, setting) };
}

type Config = Readonly<Record<string, unknown>>;

async function readConfig(files: ModelFiles, path: string): Promise<Config> {
  const json = (await readJsonIfPresent(files, path, MAX_TOKENIZER_CONFIG_BYTES)) ?? {};
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new ModelError(`${files.nameOf(path)}: is not an object of settings`);
  return json as Config;
}

async function findTemplate(
  files: ModelFiles,
  config: Config,
): Promise<{ readonly file: string; readonly source: string }> {
  const bytes = await readWhole(files, "chat_template.jinja", MAX_TEMPLATE_BYTES);
  if (bytes) {
    const path = files.nameOf("chat_template.jinja");
    refuseStrangers(bytes, path);
    return { file: path, source: decodeText(bytes, path) };
  }
  const processor = "chat_template.json";
  const places: readonly (readonly [file: string, config: Config])[] = [
    [files.nameOf(processor), await readConfig(files, processor)],
    [files.nameOf(TOKENIZER_CONFIG), config],
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

/** Tokens that templates may name; a file has them as strings or with settings. */
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

/** Qwen's turns, with a default system turn, and each image between its two marks. */
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
