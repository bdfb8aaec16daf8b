import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { LanguageModel } from "../../../src/llm/language-model.ts";
import { isQuantized } from "../../../src/runtime/weight-source.ts";
import { decodingComparisons } from "./comparison.ts";
import { type DecodingEngine, timeTask } from "./engine.ts";
import { openKelixEngine } from "./kelix-engine.ts";
import { allFourBits, bytesPerToken, openRandomCheckpoint } from "./random-checkpoint.ts";
import { decodingConfig, decodingShapes, noHead, TEXT_ONLY } from "./shapes.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-bench-"));
  vi.stubEnv("KELIX_CACHE", folder);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

test.each([
  [32, 32 * 0.5 + 4],
  [128, 128 * 0.5 + 4],
] as const)("a random checkpoint in blocks of %i runs in the language model", async (block, blockBytes) => {
  const shape = decodingShapes.toy;
  const config = decodingConfig(shape, TEXT_ONLY, noHead);
  const open = () => openRandomCheckpoint(join(folder, `checkpoint-${block}`), config, allFourBits(block));
  const weights = await open();
  expect(weights.find("model.model.layers.1.mlp.w2.weight")).toMatchObject({ bits: 4, block, shape: [256, 512] });
  const found = weights.find("model.model.layers.0.sa_norm.scale")!;
  expect(isQuantized(found)).toBe(false);
  const { width: D, layers, heads, kvHeads, headWidth: E, feedForward: F, vocabulary: V } = shape;
  const matrices = layers * (D * E * (2 * heads + 2 * kvHeads) + 3 * D * F) + V * D;
  const others = layers * (2 * D + 2 * E) + D + 8 * (2 * D + 1 + 9) + D;
  expect(bytesPerToken(weights, config)).toBeCloseTo((matrices / block) * blockBytes + others * 4, 3);
  const engine = await openKelixEngine(weights, config, { threads: 1 });
  const written: unknown[] = [];
  for await (const token of engine.answer([1, 2, 3, 4, 5], 6)) written.push(token);
  expect(written.length).toBe(6);
  await engine.release();
  const again = await open();
  expect(again.names()).toEqual(weights.names());
  await again.close();
  expect((await readdir(folder)).filter((name) => name.endsWith(".partial"))).toEqual([]);
});

test("times every token, or every run but the first, over tokens that change", async () => {
  const seen: string[] = [];
  const engine: DecodingEngine = {
    async read(tokens) {
      seen.push(`read ${tokens.length} ${tokens[0]}`);
    },
    async *answer(tokens, count) {
      seen.push(`answer ${tokens.length} ${tokens[0]} ${count}`);
      yield* Array<number>(count).fill(0);
    },
    release: async () => {},
  };
  const size = { read: 5, written: 3 };
  expect((await timeTask(engine, { task: "decode", size, vocabulary: 1000, runs: 1 })).length).toBe(3);
  expect((await timeTask(engine, { task: "prefill", size, vocabulary: 1000, runs: 2 })).length).toBe(2);
  expect((await timeTask(engine, { task: "question", size, vocabulary: 1000, runs: 1 })).length).toBe(1);
  expect(seen).toEqual(["answer 5 7 7", "read 5 7", "read 5 982", "read 5 965", "answer 5 7 3", "answer 5 982 3"]);
});

test("reports rates of the best process, without a peer when it is not wanted", async () => {
  const decode = decodingComparisons.find(({ name }) => name === "decode-int4-h1024-l28")!;
  const settings = { session: { threads: 1 }, processes: 1, block: 32, isSmall: true, hasPeer: false } as const;
  const result = (await decode.report(settings, () => {})) as Record<string, number> & { processMediansS: number[] };
  expect(result.processMediansS).toEqual([result.medianS]);
  expect(result.tokensPerS).toBeCloseTo(1 / result.medianS!, 6);
  expect(result.gbPerS).toBeCloseTo(result.gbPerToken! / result.medianS!, 9);
  expect(result.shareOfReading).toBeCloseTo(result.gbPerS! / result.readGbPerS!, 9);
  expect([result.ratio, result.peerTokensPerS]).toEqual([null, null]);
});

test("the language model of a comparison reads no scores while it reads a prompt", async () => {
  const config = decodingConfig(decodingShapes.toy, TEXT_ONLY, noHead);
  const session = vi.spyOn(LanguageModel.prototype, "session");
  const weights = await openRandomCheckpoint(join(folder, "checkpoint-32"), config, allFourBits(32));
  const engine = await openKelixEngine(weights, config, { threads: 1, blocksPerRun: 4 });
  await engine.read([1, 2, 3, 4, 5, 6]);
  await engine.release();
  expect(new Set(session.mock.calls.map(([part]) => part))).toEqual(new Set(["trunk"]));
  session.mockRestore();
});
