// Compares a tokenizer with the config of the language model that it is for: ids that disagree give nonsense without an error.

import { ModelError, quote } from "../errors.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** What the language model's config says of text. */
export interface TextIds {
  /** Ids of text are below it. */
  readonly vocabSize: number;
  readonly eos: number;
  readonly visionStart: number;
  readonly visionEnd: number;
  readonly imagePad: number;
  readonly qEos: number;
  /** Fills rows while training, if anything does. */
  readonly pad: number | null;
}

const names = {
  visionStart: ["vision_start_token_id", "<|vision_start|>"],
  visionEnd: ["vision_end_token_id", "<|vision_end|>"],
  imagePad: ["image_token_id", "<|image_pad|>"],
} as const;
/** Whether a token has a part in every prompt or answer. */
const steers = (name: string) => /^<\|(im_start|im_end|endoftext|vision_\w+|image_pad|video_pad)\|>$/.test(name);

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
  // The released vocabularies leave q_eos without a name.
  const qEos = tokenizer.tokenOf(ids.qEos);
  if (qEos !== undefined && (tokenizer.addedName(ids.qEos) === undefined || steers(qEos)))
    throw new ModelError(`${file}: the config's q_eos_token ${ids.qEos} is ${quote(qEos)}, wanted a token of its own`);
  const pad = ids.pad === null || ids.pad === ids.eos ? undefined : tokenizer.tokenOf(ids.pad);
  if (pad !== undefined && (tokenizer.addedName(ids.pad!) === undefined || (steers(pad) && pad !== "<|endoftext|>")))
    throw new ModelError(`${file}: the config's pad_token_id ${ids.pad} is ${quote(pad)}, wanted <|endoftext|>`);
  const end = tokenizer.addedName(ids.eos);
  if (end === undefined || !ends.includes(end)) {
    const found = end === undefined ? "not an added token" : end;
    throw new ModelError(
      `${file}: the config's eos_token_id ${ids.eos} is ${found}, wanted that of ${ends.join(" or ")}`,
    );
  }
}
