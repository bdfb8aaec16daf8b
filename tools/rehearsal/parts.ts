// The parts of the rehearsal. Each runs in a process of its own (part.ts), so that its peak of memory is its own.

import { Detokenizer } from "../../src/detokenizer/detokenizer.ts";
import { Kelix, type RgbImage } from "../../src/index.ts";
import { chooseDetokenizer } from "../../src/model/drawing.ts";
import { openModelAt } from "../../src/model/find.node.ts";
import { languageConfig, type OpenedModel } from "../../src/model/open.ts";
import { DEFAULT_DRAWING_BYTES } from "../../src/options.ts";
import { convertModel } from "../../src/quantize/convert.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { SessionCache } from "../../src/runtime/session-cache.ts";
import { releasedSizes, smallSizes } from "./configs.ts";
import { writeModel } from "./write-model.ts";

export interface PartRequest {
  readonly isSmall: boolean;
  /** The model as it was released, in bf16. */
  readonly source: string;
  /** The converted one. */
  readonly target: string;
}

/** Seconds, or other figures whose names say their unit. */
export type Details = Readonly<Record<string, number>>;

/** What each part does. */
export const parts = {
  /** Writes the model. */
  write: async ({ isSmall, source }: PartRequest): Promise<Details> => {
    const start = performance.now();
    const bytes = await writeModel(source, isSmall ? smallSizes : releasedSizes);
    return { gigabytes: bytes / 1e9, gigabytesPerS: bytes / 1e6 / (performance.now() - start) };
  },

  /** Converts it to 4 bits. */
  convert: async ({ source, target }: PartRequest): Promise<Details> => {
    const { targetBytes } = await convertModel(source, target, { weights: "int4" });
    return { gigabytes: targetBytes / 1e9 };
  },

  /** Answers two questions about one image, at 4 bits. */
  answer: async ({ isSmall, target }: PartRequest): Promise<Details> => {
    const { kelix, loadS } = await load(target);
    const image = exampleImage(isSmall);
    const first = await ask(kelix, image, "What does the picture show?", 32);
    const second = await ask(kelix, image, "Which colour is in the middle?", 1);
    await kelix.dispose();
    return {
      loadS,
      firstTokenS: first.firstTokenS,
      tokensPerS: (first.tokens - 1) / (first.seconds - first.firstTokenS),
      secondQuestionS: second.firstTokenS,
    };
  },

  /** Begins an image: writes its first visual blocks, at 4 bits. */
  beginImage: async ({ target }: PartRequest): Promise<Details> => {
    const { kelix, loadS } = await load(target);
    const stop = new AbortController();
    const times: number[] = [performance.now()];
    const drawn = kelix.imagine("a red apple on a table", {
      signal: stop.signal,
      onProgress: ({ task, done }) => {
        if (task !== "write") return;
        times.push(performance.now());
        if (done === VISUAL_BLOCKS) stop.abort(new Error(ENOUGH));
      },
    });
    await drawn.catch((error: Error) => {
      if (error.message !== ENOUGH) throw error;
    });
    await kelix.dispose();
    const [start, first, last] = [times[0]!, times[1]!, times.at(-1)!];
    const blocks = times.length - 1;
    return { loadS, blocks, firstBlockS: (first - start) / 1000, blockS: (last - first) / 1000 / (blocks - 1) };
  },

  /** Draws with a few steps, at 8 bits as `convert` leaves the transformer. */
  draw: ({ target }: PartRequest): Promise<Details> => draw(target),

  /** The same with half as many pixels a side. */
  drawSmaller: ({ target }: PartRequest): Promise<Details> => draw(target, halfSide),

  /** Draws from the 16-bit files, not converted. */
  drawAsItLies: ({ source }: PartRequest): Promise<Details> => draw(source),

  /** Answers from the 16-bit files, not converted, however slowly. */
  asItLies: async ({ isSmall, source }: PartRequest): Promise<Details> => {
    const { kelix, loadS } = await load(source);
    const { firstTokenS } = await ask(kelix, exampleImage(isSmall), "What does the picture show?", 1);
    await kelix.dispose();
    return { loadS, firstTokenS };
  },
} as const;

export type PartName = keyof typeof parts;

const VISUAL_BLOCKS = 8;
const STEPS = 3;
const ENOUGH = "enough blocks have been written";

async function load(folder: string): Promise<{ readonly kelix: Kelix; readonly loadS: number }> {
  const start = performance.now();
  const kelix = await Kelix.load(folder, { ignoreMemory: true });
  return { kelix, loadS: (performance.now() - start) / 1000 };
}

/** Asks about an image and counts the pieces of the answer; random weights write a piece of text with nearly every token. */
async function ask(kelix: Kelix, image: RgbImage, text: string, maxNewTokens: number) {
  const content = [
    { type: "image", image },
    { type: "text", text },
  ] as const;
  const start = performance.now();
  const times: number[] = [];
  for await (const _ of kelix.chat([{ role: "user", content }], { maxNewTokens }))
    times.push(performance.now() - start);
  const end = performance.now() - start;
  return { firstTokenS: (times[0] ?? end) / 1000, tokens: times.length, seconds: end / 1000 };
}

/** Draws from hidden states drawn at random, unguided. */
async function draw(folder: string, change = (model: OpenedModel) => model): Promise<Details> {
  const model = change(await openModelAt(folder));
  const { grid } = model.generation.imagine;
  const { transformer, autoencoder, settingsFor } = chooseDetokenizer(model, "hidden");
  const sessions = new SessionCache(DEFAULT_DRAWING_BYTES);
  const width = languageConfig(model).qwen_config.embed_dim;
  const condition = counterRandom(1, "hidden states").fillNormal(new Float32Array((grid[0] * grid[1] + 2) * width));
  const times: number[] = [performance.now()];
  const onStep = () => void times.push(performance.now());
  const image = await new Detokenizer({ transformer, autoencoder }, settingsFor(grid), sessions).detokenize(
    { condition, codeGrid: grid },
    { steps: STEPS, onStep },
  );
  const end = performance.now();
  await sessions.close();
  await model.close();
  return {
    pixels: image.width,
    firstStepS: (times[1]! - times[0]!) / 1000,
    stepS: (times.at(-1)! - times[1]!) / 1000 / (STEPS - 1),
    decodeS: (end - times.at(-1)!) / 1000,
  };
}

/** The model whose transformer draws half as many latents a side, as SANA's of 512 pixels does. */
export function halfSide(model: OpenedModel): OpenedModel {
  const hidden = model.detokenizer.hidden!;
  const config = { ...hidden.config, inputSize: hidden.config.inputSize / 2 };
  return { ...model, detokenizer: { ...model.detokenizer, hidden: { ...hidden, config } } };
}

/** About 360 positions at the released patch size, far fewer for the small model. */
function exampleImage(isSmall: boolean): RgbImage {
  const [width, height] = isSmall ? [84, 56] : [560, 504];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + ((i / (3 * width)) | 0) * 5) % 256);
  return { width, height, data };
}
