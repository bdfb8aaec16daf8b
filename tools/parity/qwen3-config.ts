// The config of a plain Qwen3 decoder, which the reference's checks of single layers have.

import * as z from "zod";
import { ignored, type OnUnknown, parseConfig } from "../../src/checkpoint/parse-config.ts";
import { decoderFields, groupsEvenly, unevenGroups } from "../../src/llm/config.ts";

/** A plain Qwen3 decoder. */
const qwen3ConfigSchema = z
  .strictObject({ ...decoderFields, eos_token_id: ignored, pad_token_id: ignored })
  .refine(groupsEvenly, unevenGroups);

export type Qwen3Config = z.infer<typeof qwen3ConfigSchema>;

/** Reads the config of a plain decoder; throws as parseConfig does. */
export function parseQwen3Config(value: unknown, file = "the decoder's config", onUnknown?: OnUnknown): Qwen3Config {
  return parseConfig(qwen3ConfigSchema, value, file, onUnknown);
}
