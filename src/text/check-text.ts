// Compares a tokenizer with its language model's config: mismatched ids would give nonsense without an error.

import { ModelError, quote } from "../errors.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** The text fields of the language model's config. */
export interface TextIds {
  /** Text ids are below this. */
  readonly vocabSize: number;
  readonly eos: number;
  readonly visionStart: number;
  readonly visionEnd: number;
  readonly imagePad: number;
  readonly qEos: number;
  /** Pads rows in training, if set. */
  readonly pad: number | null;
}

const names = {
  visionStart: ["vision_start_token_id", "<|vision_start|>"],
  visionEnd: ["vision_end_token_id", "<|vision_end|>"],
  imagePad: ["image_token_id", "<|image_pad|>"],
} as const;
/** Whether a token occurs in every prompt or answer. */
const steers = (name: string) => /^<\|(im_start|im_end|endoftext|vision_\w+|image_pad|video_pad)\|>$/.test(name);

/** Tokens that can end an answer. */
const ends = ["<|im_end|>", "<|endoftext|>"];

/** Throws a ModelError that names the token if a text id is beyond the vocabulary or a special token's id differs from the config's. */
export function checkTextIds(tokenizer: TextTokenizer, ids: TextIds): void {
  const { file } = tokenizer;
  if (tokenizer.maxId >= ids.vocabSize)
    throw new ModelError(`${file}: has the id ${tokenizer.maxId}, but the config's vocab_size is ${ids.vocabSize}`);
  for (const [key, [field, name]] of Object.entries(names)) {
    const wanted = ids[key as keyof typeof names];
    const found = tokenizer.special(name);
    if (found !== wanted)
      throw new ModelError(`${file}: ${name} has the id ${found}, but the config's ${field} is ${wanted}`);
  }
  // The released vocabularies leave q_eos without a name.
  const qEos = tokenizer.tokenOf(ids.qEos);
  if (qEos !== undefined && (tokenizer.addedName(ids.qEos) === undefined || steers(qEos)))
    throw new ModelError(`${file}: the config's q_eos_token ${ids.qEos} is ${quote(qEos)}, expected a separate token`);
  const pad = ids.pad === null || ids.pad === ids.eos ? undefined : tokenizer.tokenOf(ids.pad);
  if (pad !== undefined && (tokenizer.addedName(ids.pad!) === undefined || (steers(pad) && pad !== "<|endoftext|>")))
    throw new ModelError(`${file}: the config's pad_token_id ${ids.pad} is ${quote(pad)}, expected <|endoftext|>`);
  const end = tokenizer.addedName(ids.eos);
  if (end === undefined || !ends.includes(end)) {
    const found = end === undefined ? "not an added token" : end;
    throw new ModelError(
      `${file}: the config's eos_token_id ${ids.eos} is ${found}, expected that of ${ends.join(" or ")}`,
    );
  }
}
