// Examples from a run's own data in the form that stages train on: an image with questions about it, an image with a prompt for it, or
// an image alone. The language model reads whole conversations: see own-rows.ts.

import * as z from "zod";
import {
  type Turn as ChatTurn,
  type DataSource,
  type Example,
  imagesOf,
  type StoredImage,
} from "../../corpus/example.ts";
import { openData } from "../../corpus/open.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { pathSchema } from "../settings.ts";
import { ExampleStream, readImage } from "../sources/example-stream.ts";
import type { Sample } from "./corpus.ts";
import { fitSquare } from "./fit-square.ts";
import { ask, describeQuestions, request } from "./phrasing.ts";
import type { Turn } from "./scene-text.ts";

/** The data named by `--data`, in a config. */
export const sourceSchema = z.strictObject({
  path: pathSchema,
  /** The data for samples; by default they show training data. */
  heldOut: pathSchema.optional(),
  /** Tolerates bad examples in the check before training. */
  skipBad: z.boolean().default(false),
  /** Fingerprint of the data when the run started, so that a resumed run continues with the same data; written by the run. */
  fingerprint: z.string().max(64).optional(),
});

export type SourceConfig = z.infer<typeof sourceSchema>;

export interface OwnDataOptions {
  readonly seed: number;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a sample is for: an image alone (autoencoder), a question (tokenizer), or a request (diffusion). */
export type OwnUse = "image" | "question" | "request";

export class OwnData {
  readonly #train: ExampleStream;
  readonly #heldOut: ExampleStream | undefined;
  readonly #seed: number;

  private constructor(train: ExampleStream, heldOut: ExampleStream | undefined, seed: number) {
    this.#train = train;
    this.#heldOut = heldOut;
    this.#seed = seed;
  }

  /** Opens the data and checks some of it. Throws an InputError for data that cannot be used. */
  static async open(source: SourceConfig, { seed, log, signal }: OwnDataOptions): Promise<OwnData> {
    const opened: DataSource[] = [];
    const stream = async (path: string) => {
      opened.push(await openData(path, signal));
      const options = { seed, skipBad: source.skipBad, ...(log && { log }), ...(signal && { signal }) };
      const made = new ExampleStream(opened.at(-1)!, options);
      await made.check();
      return made;
    };
    try {
      const train = await stream(source.path);
      return new OwnData(train, source.heldOut === undefined ? undefined : await stream(source.heldOut), seed);
    } catch (error) {
      for (const each of opened) await each.close();
      throw error;
    }
  }

  get count(): number {
    return this.#train.source.count;
  }

  get fingerprint(): string {
    return this.#train.source.fingerprint;
  }

  /** Whether samples come from held-out examples. */
  get hasHeldOut(): boolean {
    return this.#heldOut !== undefined;
  }

  /**
   * Applies `use` to the training example at a position, or to a held-out one. Random numbers depend only on seed and
   * position. If `use` returns undefined or throws an InputError, another example replaces it.
   */
  draw<T>(
    position: number,
    use: (example: Example, random: CounterRandom) => Promise<T | undefined> | T | undefined,
    isHeldOut = false,
  ): Promise<T> {
    const random = counterRandom(this.#seed, "own data").fork(position);
    const stream = isHeldOut && this.#heldOut ? this.#heldOut : this.#train;
    return stream.draw(position, (example) => use(example, random));
  }

  /** One image of `side` pixels with its text; `check` throws an InputError for an example too large for the stage. */
  sample(
    position: number,
    {
      side,
      use,
      isHeldOut,
      check,
    }: { side: number; use: OwnUse; isHeldOut?: boolean; check?: (sample: Sample) => void },
  ): Promise<Sample> {
    return this.draw(
      position,
      async (example, random) => {
        const found = sampleOf(example, use, random);
        if (!found) return undefined;
        const { image, ...words } = found;
        const sample = { ...words, image: fitSquare(await readImage(example, image), side) };
        check?.(sample);
        return sample;
      },
      isHeldOut,
    );
  }

  async close(): Promise<void> {
    await this.#train.source.close();
    await this.#heldOut?.source.close();
  }
}

type Described = Omit<Sample, "image"> & { readonly image: StoredImage };

const NOTHING: Omit<Sample, "image"> = { caption: "", describe: { question: "", answer: "" }, prompt: "" };

/** Undefined for an example that does not suit this use. */
function sampleOf(example: Example, use: OwnUse, random: CounterRandom): Described | undefined {
  if (use === "image") {
    const images = imagesOf(example);
    return images.length === 0 ? undefined : { image: random.sequence().pick(images), ...NOTHING };
  }
  if (example.kind === "caption") return { image: example.image, ...wordsOfCaption(example.caption, random) };
  if (use === "request") {
    if (example.kind === "image") return { image: example.image, ...NOTHING };
    return example.kind === "chat" ? requestOf(example.turns) : undefined;
  }
  return example.kind === "chat" ? questionsOf(example.turns) : undefined;
}

/** A caption works both ways: as a description of the image, and as a prompt for it. */
export function wordsOfCaption(caption: string, random: CounterRandom): Omit<Sample, "image"> {
  const question = ask(random.fork("question").sequence().pick(describeQuestions), random.fork("form"));
  return { caption, describe: { question, answer: caption }, prompt: request(caption, random.fork("request")) };
}

/** A text conversation about one image, which comes first. */
function questionsOf(turns: readonly ChatTurn[]): Described | undefined {
  const said = turns.filter(({ role }) => role !== "system");
  const pairs: Turn[] = [];
  let image: StoredImage | undefined;
  for (let i = 0; i + 1 < said.length; i += 2) {
    const [question, answer] = [said[i]!, said[i + 1]!];
    if (question.role !== "user" || answer.role !== "assistant") return undefined;
    const images = [question, answer].flatMap(({ content }) => content.filter((part) => part.type === "image"));
    const [shown] = images;
    if (images.length !== (i === 0 ? 1 : 0) || answer.content.includes(shown as never)) return undefined;
    if (shown?.type === "image") image = shown.image;
    pairs.push({ question: textOf(question), answer: textOf(answer) });
  }
  const [first] = pairs;
  return image && first && { image, caption: first.answer, describe: first, prompt: "", turns: pairs };
}

/** As in the reference's diffusion data: a user text with an image as the answer. */
function requestOf(turns: readonly ChatTurn[]): Described | undefined {
  const said = turns.filter(({ role }) => role !== "system");
  const [asked, answer] = said;
  const [part] = answer?.content.filter(({ type }) => type === "image") ?? [];
  if (said.length !== 2 || asked?.role !== "user" || answer?.role !== "assistant" || part?.type !== "image")
    return undefined;
  if (asked.content.some(({ type }) => type === "image")) return undefined;
  return { ...NOTHING, image: part.image, prompt: textOf(asked) };
}

function textOf({ content }: ChatTurn): string {
  return content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
}

/** An image of a conversation, in the form that the language model's tokenizer reads. */
export async function squareImages(
  example: Example,
  images: readonly StoredImage[],
  side: number,
): Promise<RgbImage[]> {
  const read: RgbImage[] = [];
  for (const image of images) read.push(fitSquare(await readImage(example, image), side));
  return read;
}
