// Compares a tokenizer with the config of the language model that it is for: ids that disagree give nonsense without an error.

import { ModelError } from "../errors.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** What the language model's config says of text. */
export interface TextIds {
  /** Ids of text are below it. */
  readonly vocabSize: number;
  readonly eos: number;
  readonly visionStart: number;
  readonly visionEnd: number;
  readonly imagePad: number;
}

const names = {
  visionStart: ["vision_start_token_id", "<|vision_start|>"],
  visionEnd: ["vision_end_token_id", "<|vision_end|>"],
  imagePad: ["image_token_id", "<|image_pad|>"],
} as const;
/** Tokens that may end an answer. */
const ends = ["<|im_end|>", "<|endoftext|>"];

/** Throws a ModelError, naming the token, when an id of text is beyond the vocabulary or a special token has another id than the config's. */
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
  const end = tokenizer.addedName(ids.eos);
  if (end === undefined || !ends.includes(end)) {
    const found = end === undefined ? "not an added token" : end;
    throw new ModelError(
      `${file}: the config's eos_token_id ${ids.eos} is ${found}, wanted that of ${ends.join(" or ")}`,
    );
  }
}
