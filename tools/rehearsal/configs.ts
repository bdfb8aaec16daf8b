// The configs of the rehearsed model: released.json as the reference writes them at the released sizes, and small.json with what a small
// model has in their place; it keeps every architecture choice.
//
// Where the release does not state a size, the code's default is taken. That this is right is borne out by the published file
// sizes: with three matrices of V + S rows, all eight raw tables and the position table that nobody reads, the autoregressive
// checkpoint has 12,306,540,912 parameters: 24.6 GB in bf16, in six files of at most 5 GB, which is what was published.
//
// `ar` is Kelix's, `transformer` SANA 1.5 of 1.6 B parameters with Kelix's connector, `autoencoder` DC-AE f32 c32 as diffusers describes
// SANA 1.5's, and `processor` the public Keye-VL's preprocessor_config.json.

import { readFileSync } from "node:fs";

type Settings = Readonly<Record<string, unknown>>;

export interface RehearsalConfigs {
  readonly ar: Settings;
  readonly transformer: Settings;
  readonly autoencoder: Settings;
  readonly processor: Settings;
  /** Rows of the null condition, which the released config does not tell. */
  readonly conditionRows: number;
  readonly maxShardBytes: number;
}

/** Ids above the base vocabulary: 151,643 of Qwen's are words, and the table has 151,936 rows. */
export const IDS_AFTER_WORDS = 151_936 - 151_643;

/** Places of special tokens, counted from the first id after the words. */
export const specialTokens: Readonly<Record<string, number>> = {
  "<|endoftext|>": 0,
  "<|im_start|>": 1,
  "<|im_end|>": 2,
  "<|vision_start|>": 9,
  "<|vision_end|>": 10,
  "<|image_pad|>": 12,
  "<|video_pad|>": 13,
  "<|q_eos|>": 38,
};

const read = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as Settings;

// Files of our own, with these fields.
export const releasedSizes = read("released.json") as unknown as RehearsalConfigs;
export const smallSizes = replaced(read("released.json"), read("small.json")) as unknown as RehearsalConfigs;

/** The settings with those of `by` in their place, nested ones one by one. */
function replaced(settings: Settings, by: Settings): Settings {
  const isNested = (value: unknown): value is Settings =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const other = by[name] ?? value;
      return [name, isNested(value) && isNested(other) ? replaced(value, other) : other];
    }),
  );
}
