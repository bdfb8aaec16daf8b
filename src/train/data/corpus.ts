// What training and evaluation read: pictures with their words, each a function of (kind, split, seed, index).
// Emoji come from the cache that `npm run data` fills; scenes are drawn on the spot.

import { join } from "node:path";
import { openSafetensorsAt } from "../../checkpoint/safetensors.node.ts";
import { InputError } from "../../errors.ts";
import type { Picture } from "../../image/picture.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { fade, PLAIN_VIEW, renderView, sampleView } from "./augment.ts";
import { defaultCacheFolder, readJson } from "./icon-sets.ts";
import { type IndexEntry, type PictureIndex, picturesFolder } from "./render.ts";
import { askAboutScene, describeScene, promptForScene, type SceneQuestion, type Turn } from "./scene-text.ts";
import { drawScene, type Scene, sampleScene } from "./scenes.ts";
import { type Split, splitOf, splits } from "./split.ts";

export type SampleKind = "emoji" | "scene";

export interface Sample {
  readonly picture: Picture;
  /** The canonical answer to every question of `describeQuestions`. */
  readonly caption: string;
  readonly describe: Turn;
  /** What to ask for to get such a picture. */
  readonly prompt: string;
  /** Emoji only. */
  readonly concept?: IndexEntry;
  /** Scenes only. */
  readonly scene?: Scene;
  readonly question?: SceneQuestion;
}

export interface Corpus {
  readonly side: number;
  /** Code points of the concepts that are trained on, in a fixed order. */
  readonly concepts: readonly string[];
  /**
   * The sample of a seed and an index. Training emoji are drawn by concept, then by style, and augmented;
   * held-out emoji are shown plainly, picture `index` modulo their number. Scenes of different splits never share a draw.
   */
  sample(kind: SampleKind, split: Split, seed: number, index: number): Sample;
  /** The emoji pictures of a split in a fixed order. */
  entries(split: Split): readonly IndexEntry[];
  /** [side, side, 4] */
  rgba(entry: IndexEntry): Uint8Array;
}

export const describeQuestions = [
  "Describe the picture.",
  "What is this?",
  "What do you see?",
  "What does the picture show?",
  "Describe it.",
] as const;

const promptForms: readonly ((caption: string) => string)[] = [
  (caption) => caption,
  (caption) => `Draw ${caption}.`,
  (caption) => `a picture of ${caption}`,
  (caption) => `Show me ${caption}.`,
];

/** Reads the packed pictures into memory (about 37 kB each at 96 x 96). Throws where they are not there. */
export async function openCorpus(cacheFolder = defaultCacheFolder(), side = 96): Promise<Corpus> {
  const folder = picturesFolder(cacheFolder, side);
  const index = (await readJson(join(folder, "index.json")).catch((cause) => {
    throw new InputError(`${folder}: holds no pictures. Run \`npm run data -- --side ${side}\` first`, { cause });
  })) as PictureIndex;
  const pictures = new Map<string, Uint8Array>();
  for (const style of new Set(index.pictures.map((entry) => entry.style))) {
    const file = await openSafetensorsAt(join(folder, `${style}.safetensors`));
    pictures.set(style, (await file.read("pictures")).data as Uint8Array);
    await file.close();
  }
  return new PictureCorpus(index, pictures);
}

/** Share of training emoji that are faded into another style. */
const MIXED_SHARE = 0.3;

class PictureCorpus implements Corpus {
  readonly side: number;
  readonly concepts: readonly string[];
  readonly #pictures: ReadonlyMap<string, Uint8Array>;
  readonly #entries: ReadonlyMap<Split, readonly IndexEntry[]>;
  /** Training pictures by concept. */
  readonly #byConcept: readonly (readonly IndexEntry[])[];

  constructor(index: PictureIndex, pictures: ReadonlyMap<string, Uint8Array>) {
    this.side = index.side;
    this.#pictures = pictures;
    this.#entries = new Map(
      splits.map((split) => [split, index.pictures.filter(({ hexcode, style }) => splitOf(hexcode, style) === split)]),
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
    return this.#pictures.get(style)!.subarray(row * size, (row + 1) * size);
  }

  sample(kind: SampleKind, split: Split, seed: number, index: number): Sample {
    const random = counterRandom(seed, `${kind} ${split}`).fork(index);
    return kind === "scene" ? this.#scene(split, seed, index, random) : this.#emoji(split, index, random);
  }

  #emoji(split: Split, index: number, random: CounterRandom): Sample {
    const entry = this.#pickEntry(split, index, random);
    const { caption } = entry;
    const picture =
      split === "train"
        ? renderView(this.#mixStyles(entry, random.fork("mix")), this.side, sampleView(this.side, random.fork("view")))
        : renderView(this.rgba(entry), this.side, PLAIN_VIEW);
    return {
      picture,
      caption,
      ...wordsFor(caption, caption, random.fork("words")),
      concept: entry,
    };
  }

  #pickEntry(split: Split, index: number, random: CounterRandom): IndexEntry {
    const entries = this.entries(split);
    if (entries.length === 0) throw new Error(`The corpus has no emoji pictures for the split ${split}`);
    if (split !== "train") return entries[index % entries.length]!;
    const draw = random.fork("entry").sequence();
    return draw.pick(draw.pick(this.#byConcept));
  }

  /** The drawing, in some samples faded into another style's drawing of the same concept: a style that no set has. */
  #mixStyles(entry: IndexEntry, random: CounterRandom): Uint8Array {
    const draw = random.sequence();
    const others = this.#byConcept[this.concepts.indexOf(entry.hexcode)]!.filter(({ style }) => style !== entry.style);
    if (others.length === 0 || draw.uniform() >= MIXED_SHARE) return this.rgba(entry);
    return fade(this.rgba(entry), this.rgba(draw.pick(others)), 0.15 + 0.35 * draw.uniform());
  }

  #scene(split: Split, seed: number, index: number, random: CounterRandom): Sample {
    // Splits take turns over the indices, so that a picture belongs to one of them.
    const scene = sampleScene(seed, index * splits.length + splits.indexOf(split), this.side);
    const caption = describeScene(scene);
    const wish = promptForScene(scene, random.fork("prompt"));
    return {
      picture: drawScene(scene, this.side),
      caption,
      ...wordsFor(caption, wish, random.fork("words")),
      scene,
      question: askAboutScene(scene, random.fork("question")),
    };
  }
}

function wordsFor(caption: string, wish: string, random: CounterRandom): { describe: Turn; prompt: string } {
  const draw = random.sequence();
  const question = draw.pick(describeQuestions);
  const form = draw.uniform() < 0.6 ? promptForms[0]! : draw.pick(promptForms.slice(1));
  return { describe: { question, answer: caption }, prompt: form(wish) };
}

/** Every sentence form that the corpus can produce, with repetition as in training: for the vocabulary. */
export function* corpusTexts(captions: readonly string[], scenes: number): Generator<string> {
  for (const caption of captions) {
    for (const form of promptForms) yield form(caption);
    yield* describeQuestions;
  }
  for (let index = 0; index < scenes; index++) {
    const random = counterRandom(0, "corpus texts").fork(index);
    const scene = sampleScene(0, index);
    const { question, answer } = askAboutScene(scene, random.fork("question"));
    yield* [describeScene(scene), promptForScene(scene, random.fork("prompt")), question, answer];
  }
}
