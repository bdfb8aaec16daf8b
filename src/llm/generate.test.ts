import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { InputError } from "../errors.ts";
import { scoreSlot } from "../eval/slot-scores.ts";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { expandRow, textBlock } from "../sequence/blocks.ts";
import { bookRange } from "../sequence/layout.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { tokenHeadConfigSchema, unifiedQwen3ConfigSchema } from "./config.ts";
import { type GenerateOptions, generate, type WrittenBlock } from "./generate.ts";
import { BlockGrammar, type GrammarOptions } from "./grammar.ts";
import { LanguageModel } from "./language-model.ts";
import { argmax, sampleId } from "./sampling.ts";
import { Sequence } from "./sequence.ts";

const folder = join(import.meta.dirname, "../../test/golden/ar");
let model: LanguageModel;
let trained: LanguageModel;
let weights: Checkpoint[];

beforeAll(async () => {
  const { default: golden } = await import("../../test/golden/ar/config.json", { with: { type: "json" } });
  const config = {
    qwen: unifiedQwen3ConfigSchema.parse(golden.qwen),
    head: tokenHeadConfigSchema.parse(golden.token_decoder),
  };
  weights = await Promise.all(
    ["weights", "weights_trained"].map((name) => openCheckpointAt(join(folder, `${name}.safetensors`))),
  );
  model = await LanguageModel.open(config, weights[0]!, { threads: 1 });
  trained = await LanguageModel.open(config, weights[1]!, { threads: 1 });
});

afterAll(async () => {
  await Promise.all([model, trained].map((each) => each.dispose()));
  await Promise.all(weights.map((each) => each.close()));
});

async function collect(from: LanguageModel, ids: readonly number[], options: GenerateOptions): Promise<WrittenBlock[]> {
  const blocks: WrittenBlock[] = [];
  for await (const block of generate(from, from.start(), expandRow(ids, [], from.vocabulary), options))
    blocks.push(block);
  return blocks;
}

const prompt = [2, 3, 8, 87, 4, 91];

/** Writes blocks greedily in the plain form: every slot in a run of its own, scored against all entries. */
async function writePlainly(from: LanguageModel, options: GrammarOptions, count: number): Promise<number[][]> {
  const { vocabulary } = from;
  const sequence = from.start();
  const grammar = new BlockGrammar(vocabulary, options);
  for (const id of prompt) grammar.accept(id);
  await sequence.read(expandRow(prompt, [], vocabulary));
  const written: number[][] = [];
  while (written.length < count) {
    const ids: number[] = [];
    while (ids.length < vocabulary.codesPerPatch) {
      const range = ids.length === 0 ? grammar.lead() : [bookRange(ids.length, vocabulary)];
      ids.push(argmax(await scoreSlot(from, sequence, ids), range));
      if (ids[0]! < vocabulary.vocabSize) break; // a block of text is over: its slot 1 is q_eos, as the head has learned
    }
    const block = Int32Array.from({ length: 5 }, (_, i) => ids[i] ?? vocabulary.qEos);
    grammar.accept(block[0]!);
    await sequence.read(block);
    written.push([...block]);
  }
  return written;
}

describe("a sequence", () => {
  test("has the same hidden states read at once, in parts and block by block, beyond the cache's first capacity", async () => {
    const ids = Array.from({ length: 80 }, (_, i) => (7 * i) % 89);
    const blocks = expandRow(ids, [], model.vocabulary);
    const whole = model.start();
    await whole.read(blocks);
    const steps = model.start();
    const ends = [7, 20, ...Array.from({ length: 60 }, (_, i) => 21 + i)];
    for (const end of ends) await steps.read(blocks.subarray(steps.length * 5, end * 5));
    expect(steps.length).toBe(80);
    const [a, b] = [whole.hidden(0, 80), steps.hidden(0, 80)];
    expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!)))).toBeLessThan(2e-5);
  });

  test("draws a visual block in one run as slot by slot", async () => {
    const sequence = model.start();
    await sequence.read(expandRow(prompt, [], model.vocabulary));
    const greedy = { temperature: 0, topK: 0, topP: 1 };
    const ids = await sequence.drawVisualBlock(greedy, () => 0);
    const slots: number[] = [];
    for (let i = 0; i < 4; i++)
      slots.push(sampleId(await scoreSlot(model, sequence, slots), [bookRange(i, model.vocabulary)], greedy, 0));
    expect([...ids!]).toEqual(slots);
  });

  test("scores text as every slot is scored, for the last block and for several", async () => {
    const sequence = model.start();
    await sequence.read(expandRow(prompt, [], model.vocabulary));
    const text = await sequence.scoreText(3);
    expect(text.length).toBe(3);
    for (const [back, scores] of text.reverse().entries()) {
      const whole = model.start();
      await whole.read(expandRow(prompt.slice(0, prompt.length - back), [], model.vocabulary));
      const all = await scoreSlot(model, whole, []);
      expect(scores.length).toBe(model.vocabulary.vocabSize);
      expect(Math.max(...scores.map((score, i) => Math.abs(score - all[i]!)))).toBeLessThan(1e-5);
    }
  });

  test("predicts after its end was forgotten, and as a fork, what a new one of that length predicts", async () => {
    const blocks = expandRow([...prompt, 92, 7, 8, 9], [], model.vocabulary);
    const fresh = model.start();
    await fresh.read(blocks.subarray(0, 5 * 5));
    const wanted = await scoreSlot(model, fresh, []);
    const long = model.start();
    await long.read(blocks);
    const fork = long.fork(5);
    long.truncate(5);
    for (const sequence of [fork, long]) {
      expect(sequence.blocks).toEqual(blocks.subarray(0, 5 * 5));
      const found = await scoreSlot(model, sequence, []);
      expect(Math.max(...found.map((x, i) => Math.abs(x - wanted[i]!)))).toBeLessThan(1e-5);
    }
    await fork.read(blocks.subarray(5 * 5));
    expect(fork.blocks).toEqual(blocks);
    expect(long.length).toBe(5);
  });

  test("stops reading at an abort, between two runs", async () => {
    const sequence = model.start();
    const controller = new AbortController();
    const ids = Array.from({ length: 200 }, (_, i) => (7 * i) % 89);
    const reading = sequence.read(expandRow(ids, [], model.vocabulary), { signal: controller.signal, blocksPerRun: 2 });
    const abort = () => (sequence.length < 4 ? void setImmediate(abort) : controller.abort(new Error("enough")));
    abort();
    await expect(reading).rejects.toThrow("enough");
    expect(sequence.length).toBeGreaterThanOrEqual(4);
    expect(sequence.length).toBeLessThan(200);
  });

  test("rejects weights that are not numbers, rather than write the first id for ever", async () => {
    const damaged = {
      find: (name: string) => {
        const found = weights[0]!.find(name);
        if (!found || "scales" in found || !name.includes("layers.0.mlp_norm")) return found;
        return { dtype: "f32", shape: found.shape, data: new Uint8Array(4 * found.shape[0]!).fill(255) } as const;
      },
    };
    const broken = await LanguageModel.open(model.config, damaged, { threads: 1 });
    await expect(broken.start().read(expandRow(prompt, [], broken.vocabulary))).rejects.toThrow(/are not finite/);
    await broken.dispose();
  });

  test("draws in one run with the shares that sampleId has, the end of the image among them", async () => {
    const { vocabulary } = model;
    const sequence = model.start();
    await sequence.read(expandRow(prompt, [], vocabulary));
    const options = { temperature: 0.8, topK: 5, topP: 0.85 };
    const logits = await scoreSlot(model, sequence, []);
    const end = vocabulary.visionEnd;
    const lead = [[end, end + 1], bookRange(0, vocabulary)] as const;
    const [found, wanted] = [new Map<number, number>(), new Map<number, number>()];
    const n = 2000;
    const { counterRandom } = await import("../random/counter.ts");
    const random = counterRandom(1, "test");
    for (let i = 0; i < n; i++) {
      const ids = await sequence.drawVisualBlock(
        options,
        (slot, rank) => -Math.log(-Math.log(random.uniform(i * 64 + slot * 16 + rank))),
        true,
      );
      const first = ids?.[0] ?? end;
      found.set(first, (found.get(first) ?? 0) + 1 / n);
      const id = sampleId(logits, lead, options, (i + 0.5) / n);
      wanted.set(id, (wanted.get(id) ?? 0) + 1 / n);
    }
    expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [id, share] of wanted)
      expect(Math.abs(found.get(id)! - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / n));
  });
});

describe("generation", () => {
  test("writes the memorised image, ends it and hands over the states from its start to its end", async () => {
    const inputs = await readSafetensors(join(folder, "inputs.safetensors"));
    const outputs = await readSafetensors(join(folder, "outputs_generation.safetensors"));
    const ids = Array.from(inputs.get("gen_image_prompt")!.data, Number);
    const blocks = await collect(trained, ids, { maxNewBlocks: 20, temperature: 0 });
    const written = blocks.flatMap((block) => [...block.ids]);
    const wanted = Array.from(outputs.get("gen_trained_image.ids")!.data, Number).slice(ids.length * 5);
    expect(written).toEqual(wanted);
    const { image } = blocks.at(-2)!;
    expect([...image!.ids]).toEqual(wanted.filter((_, i) => i < 20 && i % 5 < 4));
    const hidden = outputs.get("gen_trained_image.hidden")!.data as Float32Array;
    const states = hidden.subarray((ids.length - 1) * 64, (ids.length + 5) * 64);
    expect(image!.hidden.length).toBe(states.length);
    expect(Math.max(...image!.hidden.map((x, i) => Math.abs(x - states[i]!)))).toBeLessThan(1e-3);
  });

  test.each([{ temperature: 0 }, { temperature: 1.5, topK: 0, topP: 1 }])(
    "with %o keeps to the grammar and to the image's size",
    async (sampling) => {
      const { vocabulary } = model;
      const blocks = await collect(model, prompt, {
        maxNewBlocks: 25,
        blocksPerImage: 6,
        stopIds: [],
        seed: 3,
        ...sampling,
      });
      expect(blocks.length).toBe(25);
      expect(blocks.slice(0, 6).map(({ kind }) => kind)).toEqual(Array(6).fill("visual"));
      expect(blocks[6]!.image!.ids.length).toBe(24);
      for (const { ids, kind } of blocks) {
        if (kind === "text") expect([...ids]).toEqual([...textBlock(ids[0]!, vocabulary)]);
        else {
          ids.subarray(0, 4).forEach((id, i) => {
            const [start, end] = bookRange(i, vocabulary);
            expect(id >= start && id < end).toBe(true);
          });
        }
      }
      expect([...blocks[6]!.image!.ids]).toEqual(blocks.slice(0, 6).flatMap(({ ids }) => [...ids.subarray(0, 4)]));
    },
  );

  test.each([{ blocksPerImage: 3 }, {}])(
    "writes greedily with %o what it writes when every slot is scored against everything",
    async (grammar) => {
      const options = { maxNewBlocks: 25, stopIds: [], temperature: 0, ...grammar };
      for (const from of [model, trained]) {
        const written = await collect(from, prompt, options);
        expect(written.map((block) => [...block.ids])).toEqual(await writePlainly(from, grammar, written.length));
      }
    },
  );

  test("writes on WASM what it writes natively", async () => {
    const tensors = new Map<string, HostTensor>();
    for (const name of weights[1]!.names()) tensors.set(name, await weights[1]!.read(name));
    const wasm = await LanguageModel.open(trained.config, memoryWeights(tensors), { device: "wasm" });
    const options = { maxNewBlocks: 8, temperature: 0.8, topK: 3, seed: 5, stopIds: [] };
    const ids = async (from: LanguageModel) => (await collect(from, prompt, options)).map((block) => [...block.ids]);
    expect(await ids(wasm)).toEqual(await ids(trained));
    await wasm.dispose();
  });

  test("guessing from what was read writes the same text in fewer steps", async () => {
    const { visionStart } = model.vocabulary;
    const options = { maxNewBlocks: 40, stopIds: [], temperature: 0, mayDraw: false };
    const run = async (lookupBlocks: number) => {
      const read = vi.spyOn(Sequence.prototype, "read");
      const sequence = model.start();
      const blocks = expandRow([2, 3, 8, 87, 4, 2, 3, 8, 87], [], model.vocabulary);
      const written: number[][] = [];
      for await (const { ids } of generate(model, sequence, blocks, { ...options, lookupBlocks }))
        written.push([...ids]);
      const steps = read.mock.calls.length;
      read.mockRestore();
      expect(sequence.length).toBe(9 + 39); // the last block is not read back
      return { written, steps };
    };
    const plain = await run(0);
    const guessed = await run(4);
    expect(guessed.written).toEqual(plain.written);
    expect(plain.written.some(([id]) => id === visionStart)).toBe(false);
    expect(plain.steps).toBe(40);
    expect(guessed.steps).toBeLessThan(36);
  });

  test("goes on from a sequence that has read the beginning of the prompt", async () => {
    const options = { maxNewBlocks: 6, blocksPerImage: 4, temperature: 0 };
    const blocks = expandRow(prompt, [], model.vocabulary);
    const run = async (read: number) => {
      const sequence = model.start();
      await sequence.read(blocks.subarray(0, read * 5));
      const written: WrittenBlock[] = [];
      for await (const block of generate(model, sequence, blocks, options)) written.push(block);
      return written;
    };
    const wanted = await run(0);
    for (const read of [3, prompt.length]) {
      const found = await run(read);
      expect(found.map(({ ids }) => ids)).toEqual(wanted.map(({ ids }) => ids));
      const [a, b] = [found, wanted].map((blocks) => blocks.at(4)!.image!.hidden);
      expect(Math.max(...a!.map((x, i) => Math.abs(x - b![i]!)))).toBeLessThan(1e-4);
    }
  });

  test("counts text alone against the limit of tokens, however long images are", async () => {
    const options = { maxNewTokens: 3, blocksPerImage: 40, stopIds: [], temperature: 0, mayDraw: false };
    const blocks = await collect(model, prompt, options);
    expect(blocks.map(({ kind }) => kind)).toEqual([...Array(40).fill("visual"), ...Array(4).fill("text")]);
    expect(blocks[40]!.image!.ids.length).toBe(160);
    const guessed = await collect(model, prompt, { ...options, maxNewTokens: 9, lookupBlocks: 4 });
    expect(guessed).toHaveLength(40 + 1 + 9);
  });

  test("writes text to the end of the room that is there", async () => {
    const options = { room: prompt.length + 8, blocksPerImage: 4, stopIds: [], temperature: 0, mayDraw: false };
    expect(await collect(model, prompt, options)).toHaveLength(8);
    expect(await collect(model, prompt, { ...options, lookupBlocks: 4 })).toHaveLength(8);
  });

  test("rejects an image that does not fit before it begins it, and draws one that just does", async () => {
    const { vocabSize, visionStart } = model.vocabulary;
    const drawsAtOnce = Array.from({ length: vocabSize }, (_, id) => id).filter((id) => id !== visionStart);
    const begin = (ids: readonly number[], room: number) =>
      collect(model, ids, { room, blocksPerImage: 6, temperature: 0, forbidden: drawsAtOnce });
    const read = vi.spyOn(Sequence.prototype, "read");
    await expect(begin(prompt, prompt.length + 6)).rejects.toThrow(
      "An image takes 7 more positions, and of the 12 that this model reads at most 6 are left",
    );
    expect(read).not.toHaveBeenCalled();
    await expect(begin([2, 3], 2 + 1 + 6)).rejects.toThrow(InputError);
    expect(read).toHaveBeenCalledTimes(1); // the prompt
    read.mockRestore();
    expect((await begin(prompt, prompt.length + 7)).at(-1)!.image).toBeDefined();
    expect((await begin([2, 3], 2 + 1 + 7)).at(-1)!.image).toBeDefined();
  });

  test("depends on the seed alone", async () => {
    const run = async (seed: number) =>
      (await collect(model, prompt, { maxNewBlocks: 12, temperature: 1, topK: 0, seed })).map(({ ids }) => [...ids]);
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
  });

  test("stops after exactly the blocks asked for, and at an aborted signal with its reason", async () => {
    expect((await collect(model, prompt, { maxNewBlocks: 1, temperature: 0 })).length).toBe(1);
    const controller = new AbortController();
    const seen: WrittenBlock[] = [];
    const run = async () => {
      for await (const block of generate(model, model.start(), expandRow(prompt, [], model.vocabulary), {
        maxNewBlocks: 50,
        signal: controller.signal,
      })) {
        seen.push(block);
        if (seen.length === 2) controller.abort(new Error("enough"));
      }
    };
    await expect(run()).rejects.toThrow("enough");
    expect(seen.length).toBe(2);
  });
});

test("codes of images are drawn by their own settings, text by the others", async () => {
  const opened = [...prompt, model.vocabulary.visionStart];
  const write = async (seed: number, options: Partial<GenerateOptions>) => {
    const all = { maxNewBlocks: 8, blocksPerImage: 4, stopIds: [], temperature: 0, seed, ...options };
    const blocks = await collect(model, opened, all);
    return (kind: WrittenBlock["kind"]) => blocks.filter((block) => block.kind === kind).map(({ ids }) => [...ids]);
  };
  const images = { temperature: 1, topK: 0, topP: 1 };
  const [greedy, same] = [await write(1, {}), await write(2, {})];
  expect(same("visual")).toEqual(greedy("visual"));
  const [drawn, other] = [await write(1, { images }), await write(2, { images })];
  expect(drawn("visual")).toHaveLength(4);
  expect(drawn("visual")).not.toEqual(greedy("visual"));
  expect(other("visual")).not.toEqual(drawn("visual"));
});

test("positions of an image that are forced are read as given, and the others are written after them", async () => {
  const { vocabulary } = model;
  const opened = [...prompt, vocabulary.visionStart];
  const source = [0, 1, 2, 3, 4, 5].map((k) => [0, 1, 2, 3].map((i) => bookRange(i, vocabulary)[0] + ((k + i) % 3)));
  const isFree = (position: number) => position === 2 || position === 5;
  const options = { blocksPerImage: 6, temperature: 0, maxNewBlocks: 7 };
  const forced = (position: number) => (isFree(position) ? undefined : source[position]);
  const reads = vi.spyOn(Sequence.prototype, "read");
  const blocks = await collect(model, opened, { ...options, forced });
  expect(reads).toHaveBeenCalledTimes(1 + 1 + 1 + 1 + 1 + 1); // prompt, 0 to 1, 2, 3 to 4, 5, vision_end
  reads.mockRestore();
  const ids = blocks.slice(0, 6).map((block) => [...block.ids.subarray(0, 4)]);
  for (const [k, written] of ids.entries()) if (!isFree(k)) expect(written).toEqual(source[k]);

  // Position 2 is what the model writes after a prompt that ends with positions 0 and 1, and so on.
  for (const k of [2, 5]) {
    const row = Int32Array.from([
      ...expandRow(opened, [], vocabulary),
      ...ids.slice(0, k).flatMap((block) => [...block, vocabulary.qEos]),
    ]);
    for await (const next of generate(model, model.start(), row, { ...options, maxNewBlocks: 1 }))
      expect([...next.ids.subarray(0, 4)]).toEqual(ids[k]);
  }
  const whole = model.start();
  await whole.read(
    expandRow([...opened, ...Array(6).fill(vocabulary.imagePad), vocabulary.visionEnd], ids.flat(), vocabulary),
  );
  const hidden = whole.hidden(prompt.length, prompt.length + 8);
  const { image } = blocks.at(-1)!;
  expect(Math.max(...image!.hidden.map((x, i) => Math.abs(x - hidden[i]!)))).toBeLessThan(1e-4);
});
