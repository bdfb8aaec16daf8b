// The options of `finetuneModel`; ../options.ts says what they are for.

import * as z from "zod";
import {
  above,
  callback,
  flag,
  integer,
  machine,
  number,
  type Options,
  seeded,
  signal,
  text,
  texts,
} from "../options.ts";

const finetune = {
  signal,
  ...machine,
  /** A file or folder of training data; docs/data.md lists the formats. */
  data: text.describe("a folder with captions.jsonl, or a .jsonl, .tar or .parquet file"),
  /** Leaves out examples that cannot be read. */
  skipBad: flag.default(false).describe("leave out examples that cannot be read"),
  /** Of the two factors that are trained beside each matrix: what can be learned, and the adapter's size. */
  rank: integer(1, 4096).default(8).describe("rank of the adapter"),
  /** The adapter's output is scaled by alpha / rank; twice the rank if absent. */
  alpha: number(0, 1_000_000)
    .optional()
    .describe("the adapter's output is scaled by alpha / rank; twice the rank if absent"),
  /**
   * What of the trained change is written: 1 all. Less gives up a little of the new for much of the old, as interpolation between weights
   * before and after fine-tuning does (WiSE-FT, arXiv:2109.01903).
   */
  strength: above(0, 1)
    .default(0.95)
    .describe("share of the trained change that the adapter has; less keeps more of what was known"),
  /** Names of linear maps, as PEFT's target_modules: the ends of their paths; `all` for every one. */
  targets: texts
    .default(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    .describe("linear maps to adapt, such as q_proj v_proj, or all"),
  rate: above(0, 1).default(1.5e-3).describe("learning rate"),
  steps: integer(1, 1_000_000).default(200).describe("updates"),
  batch: integer(1, 4096).default(24).describe("conversations of an update"),
  /** Of a batch's conversations, how many are the model's own: they hold what it knows in place. */
  replay: integer(0, 4096).default(22).describe("how many of them are the model's own, which keep what it knows"),
  /** Images that it describes for those before training begins; by default all codes that come with the model, else 96. */
  replayImages: integer(0, 1_000_000)
    .optional()
    .describe("images that it describes for those before training begins; all that come with the model, else 96"),
  /** Images to describe, without words, or a file of codes; by default what comes with the model, else it imagines some. */
  replayData: text
    .optional()
    .describe("where those images or their codes lie; those that come with the model, else it imagines some"),
  /** Views of each image: moved, scaled, turned and recoloured a little. */
  variants: integer(1, 10_000)
    .default(16)
    .describe("views of each image, moved and recoloured a little; 1 for itself alone"),
  seed: seeded.seed,
  /** The folder of the training's state; the adapter's name with `.run` if absent. */
  run: text.optional().describe("folder of the training's state; the adapter's name with .run if absent"),
  resume: flag.default(false).describe("go on with a training that was stopped"),
  /** Told a line of progress. */
  log: callback<(line: string) => void>().optional(),
};

export const finetuneOptions = z.strictObject(finetune);

export interface FinetuneOptions extends Options<typeof finetune> {
  readonly data: z.input<typeof finetune.data>;
}
