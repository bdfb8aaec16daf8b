import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Checkpoint } from "../src/checkpoint/checkpoint.ts";
import { parseAutoencoderConfig, parseDitConfig } from "../src/detokenizer/config.ts";
import { MemoryError } from "../src/errors.ts";
import { parseKeyeArConfig } from "../src/llm/config.ts";
import { BLOCKS_PER_RUN } from "../src/llm/language-model.ts";
import { sequencesTogether, usualArenaBytes } from "../src/llm/scheduler.ts";
import { parseGenerationConfig, parsePreprocessorConfig } from "../src/model/config.ts";
import { canDraw } from "../src/model/drawing.ts";
import { openModelAt } from "../src/model/find.node.ts";
import type { OpenedModel } from "../src/model/open.ts";
import { graphCost } from "../src/plan/graph-cost.ts";
import { drawingNeed, memoryNeed } from "../src/plan/memory.ts";
import { checkAnswerFits, checkPositionsFit } from "../src/plan/memory-check.ts";
import { planOpened } from "../src/plan/plan.ts";
import { worksSeconds } from "../src/plan/seconds.ts";
import { convertedModel, weightBytes, withMissingWeights } from "../src/plan/stated-weights.ts";
import { answersTask, answerTask, drawingTask, type Work, writingTask } from "../src/plan/workload.ts";
import { isReadWhole } from "../src/tensor/weight-uses.ts";
import { releasedSizes, smallSizes } from "../tools/rehearsal/configs.ts";
import { writeModel } from "../tools/rehearsal/write-model.ts";

/** A model of which there is nothing but its configs. */
function configsAlone({ ar, transformer, autoencoder, conditionRows }: typeof releasedSizes): OpenedModel {
  const config = parseKeyeArConfig(ar);
  const none = (path: string): Checkpoint => ({
    path,
    files: [],
    names: () => [],
    find: () => undefined,
    read: () => Promise.reject(new Error("not here")),
    close: async () => {},
  });
  const dit = { ...parseDitConfig(transformer), modelMaxLength: conditionRows };
  return {
    path: "/model",
    ar: config,
    tokenizer: config.tokenizer_config,
    preprocessor: parsePreprocessorConfig(undefined, config.tokenizer_config.vision_config),
    generation: parseGenerationConfig(undefined),
    weights: none("/model"),
    detokenizer: {
      hidden: { folder: "/model/dit", config: dit, weights: none("/model/dit") },
      autoencoder: { folder: "/model/vae", config: parseAutoencoderConfig(autoencoder), weights: none("/model/vae") },
    },
    unknownFields: [],
    close: async () => {},
  };
}

const released = withMissingWeights(configsAlone(releasedSizes));
const answer = answerTask(released);
const writing = writingTask(released);
const costOf = ({ graph, sizes }: Work) => graphCost(graph, sizes);

/** Weights of products that one run of a work reads. */
function productElements(work: Work): number {
  const read = costOf(work).weights.filter(isReadWhole);
  return read.reduce((sum, { elements }) => sum + elements, 0);
}

function workOf(works: readonly Work[], session: string, what: string): Work {
  return works.find((work) => work.session === session && work.what === what)!;
}

// Qwen3-8B by hand: q and o, k and v, three matrices of the feed-forward, 36 times.
const [D, F, HE, KE, LAYERS] = [4096, 12_288, 4096, 1024, 36];
const TRUNK = LAYERS * (2 * D * HE + 2 * D * KE + 3 * D * F);

describe("the released sizes", () => {
  test("a step of the language model reads every matrix of its layers once", () => {
    const step = workOf(answer.works, "language model: trunk", "write the answer");
    expect(productElements(step)).toBe(TRUNK);
    expect(costOf(step).flop).toBe(2 * TRUNK + LAYERS * 4 * HE * (400 + 16 + 1));
  });

  test("a token of text meets the text's rows of the output matrix, a visual block the books' and one more", () => {
    const head = 512 * D + 4 * 512 * 512 + 3 * 512 * 1024 + D * 512;
    expect(productElements(workOf(answer.works, "language model: text", "write the answer"))).toBe(head + 151_936 * D);
    expect(productElements(workOf(writing.works, "language model: image", "write codes"))).toBe(head + 65_537 * D);
  });

  test("reading a question costs two operations for each weight and position, and attention", () => {
    const runs = answer.works.filter(({ what }) => what === "read the question");
    let scores = 0; // queries times keys, of which there is at least one hidden one
    for (let start = 0; start < 400; start += BLOCKS_PER_RUN) {
      const S = Math.min(BLOCKS_PER_RUN, 400 - start);
      scores += S * (Math.max(start, 1) + S);
    }
    expect(runs.reduce((sum, work) => sum + costOf(work).flop, 0)).toBe(2 * 400 * TRUNK + LAYERS * 4 * HE * scores);
  });

  test("the vision encoder costs what its patches cost", () => {
    const encode = workOf(answer.works, "image tokenizer", "read the image");
    const [P, M, W, H] = [4 * 360, 360, 1152, 4304];
    const layers = 27 * (2 * P * (4 * W * W + 2 * W * H) + 4 * P * P * W);
    const others = 2 * (P * 588 * W + M * (4 * W * 4 * W + 4 * W * D) + M * D * 1024 + M * 128 * 65_536);
    expect(costOf(encode).flop / (layers + others)).toBeCloseTo(1, 2); // positions are interpolated beside it
  });

  test("the cache of keys and values takes four bytes for each of its numbers", () => {
    expect(answer.cacheBytes).toBe((400 + 32) * LAYERS * 2 * 8 * 128 * 4);
  });

  test("eight answers at once take their caches, and slots for these, beside what one takes", () => {
    const answers = answersTask(released);
    expect(answers.count).toBe(8);
    const position = LAYERS * 2 * 8 * 128 * 4;
    expect(answers.cacheBytes).toBe(8 * (400 + 32) * position);
    const int4 = convertedModel(released, { weights: "int4", block: 128 });
    const more = memoryNeed(answersTask(int4)) - memoryNeed(answerTask(int4));
    // One that reads the question takes as much for its scores as the slots do.
    expect(more).toBeGreaterThan(7 * 432 * position);
    expect(more).toBeLessThan(2 * 8 * 448 * position);
    // However long they are, the slots have a limit.
    const qwen = released.ar!.qwen_config;
    expect(sequencesTogether(qwen, 4000)).toBe(1);
    expect(usualArenaBytes(qwen)).toBe(2 ** 31);
  });

  test("bf16 is held as float32 and does not fit into 24 GB; 4 bits are held as they are and do", () => {
    // Layers, text rows of the output matrix, and the encoder: four bytes each at the least.
    const elements = TRUNK + 151_936 * D + 27 * (4 * 1152 ** 2 + 2 * 1152 * 4304);
    expect(memoryNeed(answer)).toBeGreaterThan(4 * elements);
    expect(memoryNeed(answer)).toBeLessThan(1.2 * 4 * elements);
    expect(memoryNeed(answer, "run")).toBeGreaterThan(2 * elements);
    expect(memoryNeed(answer, "run")).toBeLessThan(24e9);
    const int4 = memoryNeed(answerTask(convertedModel(released, { weights: "int4", block: 32 })));
    expect(int4).toBeLessThan(9e9);
    expect(int4).toBeGreaterThan(TRUNK * 0.625);
  });

  test("what draws takes turns within its limit of memory, but for a part that is larger", () => {
    const drawing = drawingTask(released, "hidden", [18, 18]);
    const transformer = 4 * 1.3e9; // what a step reads, without the condition's part
    expect(drawingNeed(drawing, 8.8e9)).toBe(8.8e9);
    expect(drawingNeed(drawing, 8e9)).toBeLessThan(8e9); // the transformer no longer fits while it is opened
    expect(drawingNeed(drawing, 100e9)).toBeGreaterThan(transformer);
    expect(drawingNeed(drawing, 100e9)).toBeLessThan(13e9);
    expect(drawingNeed(drawing, 1e9)).toBeLessThan(5e9); // widened at each run
  });
});

test("time is that of the operations or that of reading, whichever is more", () => {
  const speeds = { flopPerS: 100e9, readBytesPerS: 10e9, quantizedBytesPerS: 20e9, quantizedFlopPerS: 200e9 };
  const { parts } = worksSeconds(answer.works, speeds);
  const seconds = (what: string) => parts.find((part) => part.what === what)!.seconds;
  expect(seconds("read the question") / ((2 * 400 * TRUNK) / 100e9)).toBeCloseTo(1, 1);
  expect(seconds("write the answer") / (32 * (((TRUNK + 151_936 * D) * 4) / 10e9))).toBeCloseTo(1, 1);
});

test("products with quantised weights take the time that was measured for such", () => {
  const speeds = { flopPerS: 100e9, readBytesPerS: 10e9, quantizedBytesPerS: 20e9, quantizedFlopPerS: 200e9 };
  const { works } = answerTask(convertedModel(released, { weights: "int4", block: 128 }));
  const { parts } = worksSeconds(works, speeds);
  const seconds = (what: string) => parts.find((part) => part.what === what)!.seconds;
  const reading = seconds("read the question") / ((2 * 400 * TRUNK) / 200e9);
  expect(reading).toBeGreaterThan(1);
  expect(reading).toBeLessThan(1.1); // attention is float32's, at half the speed
  const bytes = TRUNK * (0.5 + 4 / 128) + 151_936 * D * (1 + 4 / 128);
  const writing = seconds("write the answer") / (32 * (bytes / 20e9));
  expect(writing).toBeGreaterThan(1);
  expect(writing).toBeLessThan(1.1); // the cache is read too
});

test("what cannot fit is rejected with what is needed, what there is, and what would fit", async () => {
  const memory = (availableBytes: number) => ({ totalBytes: 64e9, availableBytes });
  await checkAnswerFits(released, memory(60e9));
  const refused = checkAnswerFits(released, memory(9e9));
  await expect(refused).rejects.toThrow(MemoryError);
  await expect(refused).rejects.toThrow(
    /^\/model needs about 3\d\.\d GB of memory to answer a question; 9\.0 GB are available\. With int4 weights it needs [78]\.\d GB: kelix convert \/model NEW_FOLDER --weights int4\. .*--ignore-memory/,
  );
  await expect(checkAnswerFits(released, memory(4e9))).rejects.toThrow(/Even with int4 weights it would need/);
});

test("a model without its weights is planned to draw, though its config tells a shorter condition than its file holds", () => {
  const stated = withMissingWeights(configsAlone({ ...releasedSizes, conditionRows: 300 }));
  expect(canDraw(stated, "hidden")).toBe(true);
  expect(drawingTask(stated, "hidden", [18, 18]).works.length).toBeGreaterThan(0);
});

test("an image of so many positions that the encoder has no memory for them is rejected, with the limit that lets it in", async () => {
  const memory = { totalBytes: 64e9, availableBytes: 20e9 };
  await checkPositionsFit(released, 1280, "load", memory);
  const refused = checkPositionsFit(released, 16_384, "load", memory);
  await expect(refused).rejects.toThrow(MemoryError);
  await expect(refused).rejects.toThrow(
    /16384 positions needs about \d{3}\.\d GB .* 20\.0 GB are available.*max_pixels 1003520/,
  );
});

describe("a model on the disk", () => {
  let folder: string;
  let model: OpenedModel;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kelix-plan-"));
    await writeModel(folder, smallSizes);
    model = await openModelAt(folder);
  });
  afterAll(async () => {
    await model.close();
    await rm(folder, { recursive: true });
  });

  test("is planned the same from its configs alone", () => {
    const stated = withMissingWeights(configsAlone(smallSizes));
    for (const task of [answerTask, writingTask]) expect(memoryNeed(task(stated))).toEqual(memoryNeed(task(model)));
  });

  test("whose weights are missing is taken at the precision that the sizes of its files tell", () => {
    const empty = configsAlone(smallSizes);
    const bytes = weightBytes(withMissingWeights(empty).weights);
    const sized = (factor: number) => withMissingWeights(empty, new Map([["/model", bytes * factor]]));
    const form = (m: OpenedModel) => weightBytes(m.weights) / weightBytes(sized(1).weights);
    expect(form(sized(2))).toBeCloseTo(2, 5);
    expect(form(sized(0.57))).toBeLessThan(0.9);
    expect(form(sized(0.35))).toBeLessThan(form(sized(0.57)));
  });

  test("has a plan of disk, memory and time, and of what would be smaller", async () => {
    const speeds = { flopPerS: 1e9, readBytesPerS: 1e9, quantizedBytesPerS: 1e9, quantizedFlopPerS: 1e9 };
    const memory = { totalBytes: 8e9, availableBytes: 1 };
    const plan = await planOpened(model, { cores: 1, memory, speeds }, 1000);
    expect(plan.disk.missingBytes).toBe(1000);
    expect(plan.disk.modelBytes - 1000).toBeGreaterThan(11e6);
    expect(plan.answer.fits).toBe(false);
    expect(plan.image!.parts.map(({ what }) => what)).toEqual([
      "read the prompt",
      "write codes",
      "condition",
      "draw",
      "decode",
    ]);
    expect(plan.smaller.map(({ weights }) => weights)).toEqual(["int8", "int4"]);
    expect(plan.smaller[1]!.answerBytes).toBeLessThan(plan.answer.memoryBytes);
  });
});
