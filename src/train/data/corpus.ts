// The corpus of training and evaluation: images with text, each a function of (kind, split, seed, index).
// Emoji come from the cache filled by `kelix data`; scenes are drawn on demand.

import { join } from "node:path";
import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { openSafetensorsAt } from "../../quantize/safetensors-file.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { fade, PLAIN_VIEW, renderView, sampleRequestView, sampleView, type View } from "./augment.ts";
import { readEmojiNames } from "./concept-icons.ts";
import { withArticle } from "./concepts.ts";
import { type Digits, openDigits, wordsForDigit } from "./digits.ts";
import { type Drawings, openDrawings } from "./drawings.ts";
import { openFonts } from "./fonts.ts";
import { defaultCacheFolder, readJson } from "./icon-sets.ts";
import { drawLettering, type Lettering, type LetteringSource, letteringOf, sampleLettering } from "./lettering.ts";
import { wordsForLettering } from "./lettering-text.ts";
import type { SampleKind } from "./mix.ts";
import { ask, describeQuestions, request } from "./phrasing.ts";
import { type ImageIndex, type IndexEntry, imagesFolder } from "./render.ts";
import { askAboutScene, describeScene, isThere, promptForScene, type SceneQuestion, type Turn } from "./scene-text.ts";
import { type Colour, colours, colourValues, drawScene, type Scene, sampleScene } from "./scenes.ts";
import { isHeldOutConcept, type Split, splitOf, splits } from "./split.ts";

export interface Sample {
  readonly image: RgbImage;
  /** The canonical answer to every question of `describeQuestions`. */
  readonly caption: string;
  readonly describe: Turn;
  /** A prompt for such an image. */
  readonly prompt: string;
  /** The whole conversation, for a user's own data. */
  readonly turns?: readonly Turn[];
  /** Emoji only. */
  readonly concept?: IndexEntry;
  /** Scenes only. */
  readonly scene?: Scene;
  /** A second question, for emoji in training, scenes and digits. */
  readonly question?: SceneQuestion;
  /** Lettering only. */
  readonly lettering?: Lettering;
  /** For icons, lettering and digits: the colour they are drawn in. */
  readonly colour?: Colour | "white";
}

/** Emoji to be drawn are shown nearly plain, in one style; emoji that are asked about in any view, also blended between styles. */
export type SampleUse = "question" | "request";

export interface Corpus {
  readonly side: number;
  /** Code points of the training concepts, in a fixed order. */
  readonly concepts: readonly string[];
  /**
   * The sample of a seed and an index. Training emoji are drawn by concept, then by style, and augmented;
   * held-out emoji are shown plainly, image `index` modulo their number. Scenes of different splits never share a draw.
   */
  sample(kind: SampleKind, split: Split, seed: number, index: number, use?: SampleUse): Sample;
  /** The emoji images of a split in a fixed order. */
  entries(split: Split): readonly IndexEntry[];
  /** [side, side, 4] */
  rgba(entry: IndexEntry): Uint8Array;
}

/**
 * Reads the packed images into memory (about 37 kB each at 96 x 96; icon drawings 9 kB) for the given kinds of
 * samples; scenes need none. Throws if they are missing.
 */
export async function openCorpus(
  cacheFolder = defaultCacheFolder(),
  side = 96,
  kinds: readonly SampleKind[] = ["emoji", "scene"],
): Promise<Corpus> {
  const folder = imagesFolder(cacheFolder, side);
  const index: ImageIndex = kinds.includes("emoji")
    ? await readIndex(folder, side)
    : { side, licenses: {}, images: [] };
  const images = new Map<string, Uint8Array>();
  for (const style of new Set(index.images.map((entry) => entry.style))) {
    const file = await openSafetensorsAt(join(folder, `${style}.safetensors`));
    images.set(style, (await file.read("images")).data as Uint8Array);
    await file.close();
  }
  const drawings = kinds.includes("icon") ? await openDrawings(cacheFolder, side) : undefined;
  const lettering = kinds.includes("lettering")
    ? { fonts: await openFonts(cacheFolder), words: await letteringWords(cacheFolder) }
    : undefined;
  const digits = kinds.includes("digit") ? await openDigits(cacheFolder) : undefined;
  return new ImageCorpus(index, images, drawings, lettering, digits);
}

async function readIndex(folder: string, side: number): Promise<ImageIndex> {
  return (await readJson(join(folder, "index.json")).catch((cause) => {
    throw new InputError(`${folder}: contains no images. Run \`kelix data --side ${side}\` first`, { cause });
  })) as ImageIndex;
}

/** Share of training emoji that are blended with another style. */
const MIXED_SHARE = 0.3;

class ImageCorpus implements Corpus {
  readonly side: number;
  readonly concepts: readonly string[];
  readonly #images: ReadonlyMap<string, Uint8Array>;
  readonly #entries: ReadonlyMap<Split, readonly IndexEntry[]>;
  /** Training images by concept. */
  readonly #byConcept: readonly (readonly IndexEntry[])[];

  readonly #drawings: Drawings | undefined;
  readonly #digits: Digits | undefined;
  readonly #lettering: Readonly<Record<Split, LetteringSource>> | undefined;

  constructor(
    index: ImageIndex,
    images: ReadonlyMap<string, Uint8Array>,
    drawings?: Drawings,
    lettering?: LetteringSource,
    digits?: Digits,
  ) {
    this.#digits = digits;
    this.#drawings = drawings;
    this.#lettering = lettering && {
      train: letteringOf(lettering, "train"),
      heldOutStyle: letteringOf(lettering, "heldOutStyle"),
      heldOutConcept: letteringOf(lettering, "heldOutConcept"),
    };
    this.side = index.side;
    this.#images = images;
    this.#entries = new Map(
      splits.map((split) => [split, index.images.filter(({ hexcode, style }) => splitOf(hexcode, style) === split)]),
    );
    const concepts = new Map<string, IndexEntry[]>();
    for (const entry of this.entries("train")) {
      const earlier = concepts.get(entry.hexcode);
      if (earlier) earlier.push(entry);
      else concepts.set(entry.hexcode, [entry]);
    }
    this.concepts = [...concepts.keys()];
    this.#byConcept = [...concepts.values()];
  }

  entries(split: Split): readonly IndexEntry[] {
    return this.#entries.get(split)!;
  }

  rgba({ style, row }: IndexEntry): Uint8Array {
    const size = this.side * this.side * 4;
    return this.#images.get(style)!.subarray(row * size, (row + 1) * size);
  }

  sample(kind: SampleKind, split: Split, seed: number, index: number, use: SampleUse = "question"): Sample {
    const random = counterRandom(seed, `${kind} ${split}`).fork(index);
    switch (kind) {
      case "emoji":
        return this.#emoji(split, index, random, use);
      case "scene":
        return this.#scene(split, seed, index, random);
      case "icon":
        return this.#icon(split, random);
      case "lettering":
        return this.#writing(split, random);
      case "digit":
        return this.#digit(split, random, use);
      case "own":
        throw new Error("examples of a run's own data are not in the corpus: see samples.ts");
    }
  }

  #emoji(split: Split, index: number, random: CounterRandom, use: SampleUse): Sample {
    const entry = this.#pickEntry(split, index, random);
    const { caption } = entry;
    const isRequest = use === "request";
    const view = random.fork("view");
    const drawing = split === "train" && !isRequest ? this.#mixStyles(entry, random.fork("mix")) : this.rgba(entry);
    const shown =
      split !== "train" ? PLAIN_VIEW : isRequest ? sampleRequestView(this.side, view) : sampleView(this.side, view);
    const words = random.fork("words").sequence();
    return {
      image: renderView(drawing, this.side, shown),
      caption,
      describe: { question: this.#ask(words.pick(describeQuestions), split, random.fork("describe")), answer: caption },
      prompt: request(isRequest && words.uniform() < 0.5 ? inStyle(entry) : caption, random.fork("request")),
      ...(split === "train" && { question: this.#isThis(entry, random.fork("is this")) }),
      concept: entry,
    };
  }

  /** In training with varied phrasing; held out in the table's wording, so that numbers are comparable. */
  #ask(question: string, split: Split, random: CounterRandom, isAlike = false): string {
    return split === "train" ? ask(question, random, isAlike) : question;
  }

  #isThis({ hexcode, caption }: IndexEntry, random: CounterRandom): SceneQuestion {
    const draw = random.sequence();
    const isTrue = draw.uniform() < 0.5;
    const other = draw.pick(this.#byConcept.filter(([first]) => first!.hexcode !== hexcode))[0]!;
    const question = ask(`Is this ${isTrue ? caption : other.caption}?`, random.fork("form"));
    return { about: "yesNo", question, answer: isTrue ? "yes" : "no" };
  }

  #icon(split: Split, random: CounterRandom): Sample {
    if (!this.#drawings) throw new InputError("The corpus was opened without icons");
    const draw = random.fork("icon").sequence();
    const { train, heldOut } = this.#drawings;
    const mask = this.#drawings.mask(draw.pick(split === "train" ? train : heldOut));
    const { image, colour } = this.#inked(mask, draw, sampleView(this.side, random.fork("view")));
    return { image, ...describeColour(colour, random.fork("words")), colour };
  }

  #digit(split: Split, random: CounterRandom, use: SampleUse): Sample {
    if (!this.#digits) throw new InputError("The corpus was opened without digits");
    const draw = random.fork("digit").sequence();
    const { train, heldOut } = this.#digits;
    const row = draw.pick(split === "train" ? train : heldOut);
    const sampled = use === "request" ? sampleRequestView : sampleView;
    const view = split === "train" ? sampled(this.side, random.fork("view")) : PLAIN_VIEW;
    const { image, colour } = this.#inked(this.#digits.mask(row, this.side), draw, view);
    const words = wordsForDigit(this.#digits.label(row), colour, split === "train", random.fork("words"));
    return { image, ...words, colour };
  }

  /** A mask [side, side] in roughly one of the colours, on a contrasting background. */
  #inked(mask: Uint8Array, draw: ReturnType<CounterRandom["sequence"]>, { background, ...view }: View) {
    const colour = draw.pick(colours);
    const [red, green, blue] = colourValues[colour];
    const jitter = (value: number) => Math.max(0, Math.min(255, value + draw.integer(31) - 15));
    const ink = [jitter(red), jitter(green), jitter(blue)];
    const rgba = new Uint8Array(mask.length * 4);
    mask.forEach((opacity, at) => {
      rgba.set(ink, at * 4);
      rgba[at * 4 + 3] = opacity;
    });
    const contrast = background.reduce((sum, value, c) => sum + Math.abs(value - ink[c]!), 0);
    const image = renderView(rgba, this.side, {
      ...view,
      background: contrast < 150 ? [255, 255, 255] : background,
      saturation: 1,
      gain: [1, 1, 1],
      offset: 0,
    });
    return { image, colour };
  }

  #writing(split: Split, random: CounterRandom): Sample {
    if (!this.#lettering) throw new InputError("The corpus was opened without lettering");
    const lettering = sampleLettering(this.#lettering[split], this.side, random);
    const words = wordsForLettering(lettering, random.fork("words"));
    return { image: drawLettering(lettering, this.side), ...words, lettering, colour: lettering.colour };
  }

  #pickEntry(split: Split, index: number, random: CounterRandom): IndexEntry {
    const entries = this.entries(split);
    if (entries.length === 0) throw new InputError(`The corpus has no emoji images for the split ${split}`);
    if (split !== "train") return entries[index % entries.length]!;
    const draw = random.fork("entry").sequence();
    return draw.pick(draw.pick(this.#byConcept));
  }

  /** The drawing, in some samples blended with another style's drawing of the same concept: a style that no set has. */
  #mixStyles(entry: IndexEntry, random: CounterRandom): Uint8Array {
    const draw = random.sequence();
    const others = this.#byConcept[this.concepts.indexOf(entry.hexcode)]!.filter(({ style }) => style !== entry.style);
    if (others.length === 0 || draw.uniform() >= MIXED_SHARE) return this.rgba(entry);
    return fade(this.rgba(entry), this.rgba(draw.pick(others)), 0.15 + 0.35 * draw.uniform());
  }

  #scene(split: Split, seed: number, index: number, random: CounterRandom): Sample {
    // Splits take alternate indices, so that an image belongs to only one.
    const scene = sampleScene(seed, index * splits.length + splits.indexOf(split), this.side);
    const caption = describeScene(scene);
    const isAlike = scene.kind === "group";
    const words = random.fork("words").sequence();
    const canonical =
      split === "train" && words.uniform() < 0.2
        ? isThere(scene, random.fork("is there"))
        : askAboutScene(scene, random.fork("question"));
    return {
      image: drawScene(scene, this.side),
      caption,
      describe: { question: this.#ask(words.pick(describeQuestions), split, random.fork("describe")), answer: caption },
      prompt: request(promptForScene(scene, random.fork("prompt")), random.fork("request")),
      scene,
      question: { ...canonical, question: this.#ask(canonical.question, split, random.fork("form"), isAlike) },
    };
  }
}

/** An icon in one colour on another. The question is about the colour; icons are not named. */
function describeColour(colour: string, random: CounterRandom): Pick<Sample, "caption" | "describe" | "prompt"> {
  const question = random.sequence().pick(["What colour is it?", "What color is it?", "What colour is the drawing?"]);
  return { caption: colour, describe: { question, answer: colour }, prompt: `a ${colour} drawing` };
}

/** Words from emoji names and tags, except those of held-out concepts. */
export async function letteringWords(cacheFolder: string): Promise<string[]> {
  const names = await readEmojiNames(cacheFolder);
  const heldOut = new Set(
    names.filter(({ hexcode }) => isHeldOutConcept(hexcode)).flatMap(({ label }) => wordsOf(label)),
  );
  const words = new Set(names.flatMap(({ label, tags = [] }) => [label, ...tags].flatMap(wordsOf)));
  return [...words].filter((word) => word.length <= MOST_LETTERS && !heldOut.has(word)).sort();
}

const MOST_LETTERS = 8;
const wordsOf = (text: string) => text.toLowerCase().match(/\b[a-z]{2,}\b/g) ?? [];

/** A word for the look of each training style. */
const styleWords: Readonly<Record<string, string>> = {
  noto: "shaded",
  openmoji: "outlined",
  "fluent-emoji": "glossy",
  "fluent-emoji-flat": "flat",
  emojione: "plain",
  fxemoji: "bold",
  "noto-v1": "soft",
  "emojione-v1": "bright",
  "streamline-emojis": "light",
};

/** "a glossy red apple": a caption with its style's word. */
export function inStyle({ caption, style }: Pick<IndexEntry, "caption" | "style">): string {
  const word = styleWords[style];
  if (!word) return caption;
  const [, name] = /^an? (.+)$/.exec(caption) ?? [];
  return name ? withArticle(`${word} ${name}`) : `${word} ${caption}`;
}

/** Every sentence form in the corpus, with the repetition of training: for the vocabulary. */
export function* corpusTexts(corpus: Corpus, kinds: readonly SampleKind[], samples: number): Generator<string> {
  for (const kind of kinds) {
    for (let index = 0; index < samples; index++) {
      const { describe, question, prompt } = corpus.sample(kind, "train", 0, index, "request");
      yield* [describe.question, describe.answer, prompt];
      if (question) yield* [question.question, question.answer];
    }
  }
}
