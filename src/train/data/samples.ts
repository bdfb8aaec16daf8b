// The source of a stage's samples: the corpus, or the run's own data. The choice is made here; each sample is a function
// of kind, seed and index.

import { InputError } from "../../errors.ts";
import { type Corpus, openCorpus, type Sample, type SampleUse } from "./corpus.ts";
import type { SampleKind } from "./mix.ts";
import type { OwnData, OwnUse } from "./own-data.ts";
import type { Split } from "./split.ts";

export interface SamplesOptions {
  readonly cache: string | undefined;
  readonly side: number;
  readonly kinds: readonly SampleKind[];
  readonly own: OwnData | undefined;
}

export class Samples {
  readonly corpus: Corpus;
  readonly own: OwnData | undefined;

  private constructor(corpus: Corpus, own: OwnData | undefined) {
    this.corpus = corpus;
    this.own = own;
  }

  /** Throws an InputError if the corpus has not been drawn yet, or a mix needs data that the run does not name. */
  static async open({ cache, side, kinds, own }: SamplesOptions): Promise<Samples> {
    if (kinds.includes("own") && !own)
      throw new InputError("data: its mix has a share of `own`, but no source of examples is named (--data PATH)");
    return new Samples(await openCorpus(cache, side, kinds), own);
  }

  /** `use` is the sample's purpose; the corpus knows only questions and requests. `check`: see OwnData.sample. */
  async draw(
    kind: SampleKind,
    split: Split,
    seed: number,
    index: number,
    use: OwnUse = "question",
    check?: (sample: Sample) => void,
  ): Promise<Sample> {
    const corpusUse: SampleUse = use === "request" ? "request" : "question";
    if (kind !== "own") return this.corpus.sample(kind, split, seed, index, corpusUse);
    const { side } = this.corpus;
    return this.own!.sample(index, { side, use, isHeldOut: split !== "train", ...(check && { check }) });
  }
}
