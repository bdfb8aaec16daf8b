import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Session, Values } from "../runtime/session.ts";
import { expandRow } from "../sequence/blocks.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { rowBytes } from "./cache.ts";
import { tokenHeadConfigSchema, unifiedQwen3ConfigSchema } from "./config.ts";
import { type GenerateOptions, generate, type WrittenBlock } from "./generate.ts";
import { LanguageModel } from "./language-model.ts";
import { PrefixCache } from "./prefix-cache.ts";

let models: LanguageModel[];
let weights: Checkpoint[];

beforeAll(async () => {
  const { default: golden } = await import("../../test/golden/ar/config.json", { with: { type: "json" } });
  const config = {
    qwen: unifiedQwen3ConfigSchema.parse(golden.qwen),
    head: tokenHeadConfigSchema.parse(golden.token_decoder),
  };
  const folder = join(import.meta.dirname, "../../test/golden/ar");
  const files = ["weights", "weights_trained"].map((name) => join(folder, `${name}.safetensors`));
  weights = await Promise.all(files.map((file) => openCheckpointAt(file)));
  models = await Promise.all(weights.map((each) => LanguageModel.open(config, each, { threads: 1 })));
});
afterAll(async () => {
  await Promise.all(models.map((each) => each.dispose()));
  await Promise.all(weights.map((each) => each.close()));
});
afterEach(() => void vi.restoreAllMocks());

interface Conversation {
  readonly text: readonly number[];
  /** Its prompt has an image made from this number. */
  readonly image?: number | undefined;
  /** Its answer is an image. */
  readonly draws?: boolean;
  readonly options: GenerateOptions;
  /** Turns of the event loop before it begins, and before each block is taken. */
  readonly joins: number;
  readonly pauses: number;
  /** It leaves after so many blocks, by ending its loop or by an abort. */
  readonly leaves?: { readonly after: number; readonly by: "return" | "abort" } | undefined;
}

type Prompt = Pick<Conversation, "text" | "image" | "draws">;

function promptOf(model: LanguageModel, { text, image, draws }: Prompt): Int32Array {
  const { visionStart, visionEnd, imagePad, vocabSize } = model.vocabulary;
  const end = draws ? [visionStart] : [];
  if (image === undefined) return expandRow([...text, ...end], [], model.vocabulary);
  const ids = Int32Array.from({ length: 6 * 4 }, (_, i) => vocabSize + (i % 4) * 16 + ((i * image) % 16));
  return expandRow(
    [2, visionStart, ...Array<number>(6).fill(imagePad), visionEnd, ...text, ...end],
    ids,
    model.vocabulary,
  );
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What it wrote, and the states of its images. */
async function hold(model: LanguageModel, conversation: Conversation, prefixes?: PrefixCache) {
  const { options, joins, pauses, leaves } = conversation;
  for (let i = 0; i < joins; i++) await turn();
  const prompt = promptOf(model, conversation);
  const controller = new AbortController();
  const sequence = prefixes?.take(prompt) ?? model.start();
  const written: WrittenBlock[] = [];
  try {
    for await (const block of generate(model, sequence, prompt, { ...options, signal: controller.signal })) {
      written.push(block);
      if (written.length === leaves?.after) {
        if (leaves.by === "return") break;
        controller.abort(new Error("enough"));
      }
      for (let i = 0; i < pauses; i++) await turn();
    }
  } catch (error) {
    expect(error).toEqual(new Error("enough"));
  }
  prefixes?.keep(sequence);
  return written;
}

const ids = (written: readonly WrittenBlock[]) => written.map((block) => [...block.ids]);

const conversations = fc.record({
  text: fc.array(fc.integer({ min: 2, max: 80 }), { minLength: 1, maxLength: 60 }),
  image: fc.option(fc.integer({ min: 1, max: 15 }), { nil: undefined }),
  draws: fc.boolean(),
  options: fc.record({
    maxNewBlocks: fc.integer({ min: 1, max: 25 }),
    blocksPerImage: fc.constantFrom(3, 6),
    stopIds: fc.constant([]),
    seed: fc.nat(100),
    temperature: fc.constantFrom(0, 0.7, 1.5),
    topK: fc.constantFrom(0, 5),
    topP: fc.constantFrom(0.9, 1),
    images: fc.record({ temperature: fc.constantFrom(0, 1), topK: fc.constantFrom(0, 8) }),
    lookupBlocks: fc.constantFrom(0, 3),
  }),
  joins: fc.nat(20),
  pauses: fc.constantFrom(0, 0, 0, 3),
  leaves: fc.option(fc.record({ after: fc.integer({ min: 1, max: 8 }), by: fc.constantFrom("return", "abort") }), {
    nil: undefined,
  }),
});

describe("sequences together", () => {
  test("each writes what it writes alone, whoever joins, pauses, leaves and is cancelled", async () => {
    const together = fc.array(conversations, { minLength: 2, maxLength: 11 });
    await fc.assert(
      fc.asyncProperty(together, fc.nat(1), async (all, which) => {
        const model = models[which]!;
        const prefixes = new PrefixCache(model, 2 ** 20);
        const found = await Promise.all(all.map((one) => hold(model, one, prefixes)));
        for (const [i, one] of all.entries()) {
          const alone = await hold(model, { ...one, joins: 0, pauses: 0 });
          expect(ids(found[i]!)).toEqual(ids(alone));
          for (const [b, { image }] of alone.entries()) {
            const states = found[i]![b]!.image?.hidden;
            expect(states?.length).toBe(image?.hidden.length);
            if (image) expect(Math.max(...image.hidden.map((x, j) => Math.abs(x - states![j]!)))).toBeLessThan(1e-4);
          }
        }
      }),
      { numRuns: 25 },
    );
  }, 120_000);

  test("what one sees of another is nothing: its states are the same to the last bit, whatever the other reads", async () => {
    const model = models[0]!;
    const states = async (other: Prompt) => {
      const [a, b] = [model.start(), model.start()];
      const own = promptOf(model, { text: [5, 6, 7, 8], image: 3 });
      await Promise.all([a.read(own), b.read(promptOf(model, other))]);
      for (let id = 10; id < 14; id++) {
        const next = expandRow([id], [], model.vocabulary);
        await Promise.all([a.read(next), b.read(next)]);
      }
      const [scores] = (await Promise.all([a.scoreText(), b.scoreText()]))[0];
      return [...a.hidden(0, a.length), ...scores!];
    };
    const runs = countRuns(model);
    const first = await states({ text: [5, 6, 7, 8], image: 4 });
    expect(runs.trunk).toEqual([{ B: 2, S: 13 }, ...Array(4).fill({ B: 2, S: 1 })]);
    expect(await states({ text: [60, 70, 80, 9], image: 11 })).toEqual(first);
  });

  test("share runs: eight take as many steps as one, and text and images are scored in one run each", async () => {
    const model = models[0]!;
    const options = { maxNewBlocks: 12, stopIds: [], temperature: 0, mayDraw: false, blocksPerImage: 20 };
    const { visionStart } = model.vocabulary;
    const all = Array.from({ length: 8 }, (_, i) => ({
      text: i < 4 ? [2, 3 + i] : [2, 3 + i, visionStart],
      options,
      joins: i === 7 ? 6 : 0, // in the middle
      pauses: 0,
    }));
    const runs = countRuns(model);
    await Promise.all(all.map((one) => hold(model, one)));
    // When the eighth joins is a matter of timing; seven are together from the start, and it writes on alone at the end.
    expect(runs.trunk.filter(({ B }) => B >= 7).length).toBeGreaterThanOrEqual(8);
    expect(Math.max(...runs.trunk.map(({ B }) => B))).toBeGreaterThanOrEqual(8); // a run may carry the slot of one who left
    expect(runs.trunk.length).toBeLessThan(2 * 12 + 6);
    expect(runs.text.length).toBeLessThan(2 * 12 + 4);
    expect(Math.max(...runs.text.map(({ B }) => B))).toBe(4);
    expect(Math.max(...runs.image.map(({ B }) => B))).toBe(4);
  });

  test.each([
    ["in pieces of a quarter where it takes long", 1, [...Array(9).fill(32), 12]],
    ["in whole pieces where those take no longer than others may wait", 0, [128, 128, 44]],
  ])("a long prompt is read %s, between which others write", async (_, msPerBlock, wanted) => {
    const model = models[0]!;
    const trunk = await model.session("trunk");
    const ownRun = trunk.run.bind(trunk);
    let nowMs = 0;
    vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    vi.spyOn(trunk, "run").mockImplementation((feeds: Values) => {
      nowMs += msPerBlock * feeds.index!.shape[1]!;
      return ownRun(feeds);
    });
    const text = Array.from({ length: 300 }, (_, i) => 2 + (i % 80));
    const runs = countRuns(model);
    for (let i = 0; i < 10; i++) {
      // Other tests ran faster, and one slow run is not believed at once.
      runs.trunk.length = 0;
      await model.start().read(expandRow(text, [], model.vocabulary));
      expect(runs.trunk.map(({ S }) => S)).toEqual([128, 128, 44]);
    }
    runs.trunk.length = 0;
    const options = { maxNewBlocks: 40, stopIds: [], temperature: 0, mayDraw: false };
    const writer = hold(model, { text: [5], options, joins: 0, pauses: 0 });
    await until(() => runs.trunk.length >= 3);
    await model.start().read(expandRow(text, [], model.vocabulary));
    const pieces = runs.trunk.map(({ S }) => S);
    expect(pieces.filter((S) => S > 1)).toEqual(wanted);
    for (const [i, S] of pieces.entries()) if (S > 1) expect(pieces[i - 1]).toBe(1);
    await writer;
  });

  test("an abort takes effect before the next run, and the others go on", async () => {
    const model = models[0]!;
    const text = Array.from({ length: 120 }, (_, i) => 2 + (i % 80));
    const controller = new AbortController();
    const sequence = model.start();
    const runs = countRuns(model);
    const blocks = expandRow(text, [], model.vocabulary);
    const reading = sequence.read(blocks, { signal: controller.signal, blocksPerRun: 16 });
    const refused = expect(reading).rejects.toThrow("left");
    const other = model.start().read(blocks, { blocksPerRun: 16 });
    await until(() => runs.trunk.length >= 2);
    const { length } = sequence;
    controller.abort(new Error("left"));
    await refused;
    expect(sequence.length).toBeLessThanOrEqual(length + 16);
    await other;
  });

  test("a run that fails fails those who were in it, and no others", async () => {
    const model = models[0]!;
    const options = { maxNewBlocks: 10, stopIds: [], temperature: 0, mayDraw: false };
    const conversation = { text: [5, 6], options, joins: 0, pauses: 0 };
    const alone = ids(await hold(model, conversation));
    const trunk = await model.session("trunk");
    const run = trunk.run.bind(trunk);
    let left = 5;
    vi.spyOn(trunk, "run").mockImplementation((feeds: Values) => {
      if (--left === 0) return Promise.reject(new Error("this run failed"));
      return run(feeds);
    });
    const early = [0, 1].map(() => hold(model, conversation));
    const outcome = Promise.allSettled(early);
    await until(() => left <= 0);
    const late = hold(model, conversation);
    for (const { status, ...rest } of await outcome) {
      expect(status).toBe("rejected");
      expect(String((rest as PromiseRejectedResult).reason)).toContain("this run failed");
    }
    expect(ids(await late)).toEqual(alone);
    expect(ids(await hold(model, conversation))).toEqual(alone);
  });

  test("the event loop has its turn between runs", async () => {
    const model = models[0]!;
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const options = { maxNewBlocks: 20, stopIds: [], temperature: 0, mayDraw: false };
    await Promise.all([0, 1, 2].map((i) => hold(model, { text: [5 + i], options, joins: 0, pauses: 0 })));
    isDone = true;
    expect(turns).toBeGreaterThan(20);
  });

  test("guesses only while nobody else writes", async () => {
    const model = models[0]!;
    const text = [2, 3, 8, 87, 4, 2, 3, 8, 87];
    const options = { maxNewBlocks: 40, stopIds: [], temperature: 0, mayDraw: false, lookupBlocks: 4 };
    const one = { text, options, joins: 0, pauses: 0 };
    const runs = countRuns(model);
    const alone = ids(await hold(model, one));
    expect(runs.trunk.slice(1).some(({ S }) => S > 1)).toBe(true);
    runs.trunk.length = 0;
    for (const written of await Promise.all([hold(model, one), hold(model, one)])) expect(ids(written)).toEqual(alone);
    expect(runs.trunk.slice(1).every(({ S }) => S === 1)).toBe(true);
  });

  test("sequences that begin alike share what was read of it", async () => {
    const model = models[0]!;
    const prefixes = new PrefixCache(model, 2 ** 20);
    const first = model.start();
    await first.read(promptOf(model, { text: [4, 5, 6], image: 3 }));
    prefixes.keep(first);
    const [a, b] = [9, 10].map((id) => prefixes.take(promptOf(model, { text: [4, id], image: 3 })));
    expect([a!.length, b!.length]).toEqual([10, 10]);
    expect(a!.rows[0]!.data).toBe(first.rows[0]!.data);
    const { bytes } = prefixes;
    prefixes.keep(a!.fork(10));
    expect(prefixes.bytes - bytes).toBeLessThan((first.ownBytes + rowBytes(first.rows)) / 2);
  });

  test("working copies take no more than they may, and answers are the same with little", async () => {
    const one = (i: number) => ({
      text: Array.from({ length: 50 + i }, (_, t) => 2 + ((t + i) % 80)),
      options: { maxNewBlocks: 8, stopIds: [], temperature: 0 },
      joins: 0,
      pauses: 0,
    });
    const all = Array.from({ length: 6 }, (_, i) => one(i));
    const model = models[0]!;
    const wanted = await Promise.all(all.map((each) => hold(model, each)));
    const arenaBytes = 2 * 2 * 64 * (2 * 2 * 2 * 16 * 4); // two slots of 64 positions in each arena
    const small = await LanguageModel.open(model.config, weights[0]!, { threads: 1, arenaBytes });
    const found = await Promise.all(all.map((each) => hold(small, each)));
    expect(found.map(ids)).toEqual(wanted.map(ids));
    expect(small.scheduler.bytes).toBeLessThanOrEqual(arenaBytes);
    await small.dispose();
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn();
}

/** The sizes of all runs from now on. */
function countRuns(model: LanguageModel) {
  const runs = { trunk: [] as { B: number; S: number }[], text: [] as { B: number }[], image: [] as { B: number }[] };
  const open = model.session.bind(model);
  vi.spyOn(model, "session").mockImplementation(async (part): Promise<Session> => {
    const session = await open(part as "trunk");
    return {
      ...session,
      run(feeds, fetch) {
        const [B, S] = (feeds.index ?? feeds.hidden)!.shape as [number, number];
        if (part === "trunk") runs.trunk.push({ B, S });
        else if (part === "text" || part === "image") runs[part].push({ B });
        return session.run(feeds, fetch);
      },
    };
  });
  return runs;
}
