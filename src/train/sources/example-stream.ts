// The examples of a training, by position: shuffled by the seed, checked before training, and without unusable ones.
// The example at a position depends only on seed and position, so a resumed run finds the same examples.

import { type DataSource, type Example, imagesOf, type StoredImage } from "../../corpus/example.ts";
import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { SampleOrder } from "./order.ts";

export interface StreamOptions {
  readonly seed: number;
  /** Tolerates bad examples in the check before training. */
  readonly skipBad?: boolean;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Examples checked before training: the first ones, and as many spread over the data. */
const CHECKED = 64;
/** After this many unusable examples in a row, there are assumed to be no usable ones. */
const MAX_ATTEMPTS = 500;
/** A few bad examples are skipped during a run; with more, the run ends. */
const FEW_BAD = 16;
const MAX_BAD_SHARE = 0.05;

export class ExampleStream {
  readonly source: DataSource;
  readonly #options: StreamOptions;
  readonly #order: SampleOrder;
  readonly #random: CounterRandom;
  /** Known bad examples, so that each is counted once. Nothing else may depend on this: a resumed run starts without it. */
  readonly #known = new Set<number>();
  #drawn = 0;
  #bad = 0;

  constructor(source: DataSource, options: StreamOptions) {
    this.source = source;
    this.#options = options;
    this.#order = new SampleOrder(source, options.seed);
    this.#random = counterRandom(options.seed, "another example");
  }

  /** How many unreadable examples were skipped since the stream was opened. */
  get bad(): number {
    return this.#bad;
  }

  /**
   * Reads some examples with their images and returns a summary. Throws the InputError of the first bad one, unless few bad
   * ones are tolerated.
   */
  async check(): Promise<void> {
    const { count, format } = this.source;
    const { log, signal, skipBad } = this.#options;
    const indices = new Set<number>();
    for (let i = 0; i < Math.min(CHECKED, count); i++)
      indices.add(i).add(Math.floor((i * count) / Math.min(CHECKED, count)));
    const kinds = new Map<string, number>();
    let [images, bad] = [0, 0];
    let last: InputError | undefined;
    for (const index of indices) {
      signal?.throwIfAborted();
      try {
        const example = await this.source.read(index);
        for (const image of imagesOf(example)) {
          await readImage(example, image);
          images++;
        }
        kinds.set(example.kind, (kinds.get(example.kind) ?? 0) + 1);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        if (!skipBad)
          throw new InputError(`${error.message}. --skip-bad skips such examples`, {
            code: error.code,
            cause: error,
          });
        bad++;
        last = error;
      }
    }
    if (last && bad * 2 > indices.size)
      throw new InputError(`${bad} of ${indices.size} examples cannot be used; the last: ${last.message}`, {
        code: last.code,
        cause: last,
      });
    const found = [...kinds].map(([kind, n]) => `${n} ${kind}`).join(", ");
    log?.(
      `data: ${format}, ${count.toLocaleString("en-US")} examples; checked ${indices.size} (${found}; ${images} images; ${bad} bad)`,
    );
  }

  /**
   * Applies `use` to the example at a position. If it returns undefined, or throws an InputError (a bad example, which is
   * counted), another example replaces it. Throws an InputError if too many are bad or none can be used.
   */
  async draw<T>(position: number, use: (example: Example) => Promise<T | undefined> | T | undefined): Promise<T> {
    const others = this.#random.fork(position);
    this.#drawn++;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      this.#options.signal?.throwIfAborted();
      const index = attempt === 0 ? this.#order.at(position) : others.integer(attempt, this.source.count);
      try {
        const made = await use(await this.source.read(index));
        if (made !== undefined) return made;
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        this.#report(index, error);
      }
    }
    throw new InputError(
      `${this.source.format}: none of ${MAX_ATTEMPTS} examples in a row can be used by this stage; they are of another kind, or bad (${this.#bad} so far)`,
    );
  }

  #report(index: number, error: InputError): void {
    if (this.#known.has(index)) return;
    this.#known.add(index);
    this.#bad++;
    if (this.#bad > FEW_BAD && this.#bad > MAX_BAD_SHARE * this.#drawn)
      throw new InputError(`${this.#bad} bad examples in ${this.#drawn} draws; the last: ${error.message}`, {
        cause: error,
      });
    // 1, 2, 4, 8, ..
    if (Number.isInteger(Math.log2(this.#bad))) {
      const soFar = this.#bad === 1 ? "a bad example" : `${this.#bad} bad examples so far, the last`;
      this.#options.log?.(`data: skipped ${soFar}: ${error.message}`);
    }
  }
}

/** An example's image. Throws an InputError that says where the example is. */
export async function readImage({ where }: Example, image: StoredImage): Promise<RgbImage> {
  try {
    return await image.read();
  } catch (cause) {
    if (!(cause instanceof InputError) || cause.message.includes(where)) throw cause;
    throw new InputError(`${where}: ${cause.message}`, { code: cause.code, cause });
  }
}
