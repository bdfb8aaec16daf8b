import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { scoreSlot } from "../eval/slot-scores.ts";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import { expandRow } from "../sequence/blocks.ts";
import { blockCount, bookRange } from "../sequence/layout.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { tokenHeadConfigSchema, unifiedQwen3ConfigSchema } from "./config.ts";
import { LanguageModel } from "./language-model.ts";
import { scoreBlocks } from "./likelihood.ts";

const folder = join(import.meta.dirname, "../../test/golden/ar");
let weights: Checkpoint;
let model: LanguageModel;
beforeAll(async () => {
  const { default: golden } = await import("../../test/golden/ar/config.json", { with: { type: "json" } });
  const config = {
    qwen: unifiedQwen3ConfigSchema.parse(golden.qwen),
    head: tokenHeadConfigSchema.parse(golden.token_decoder),
  };
  weights = await openCheckpointAt(join(folder, "weights.safetensors"));
  model = await LanguageModel.open(config, weights, { threads: 1 });
});
afterAll(async () => {
  await model?.dispose();
  await weights?.close();
});

/** Of one sub-token, from the scores of its slot over all entries. */
function logProbability(scores: Float32Array, id: number): number {
  const largest = Math.max(...scores);
  return scores[id]! - largest - Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0));
}

test("the log-probability of each sub-token is that of its slot scored by itself", async () => {
  const { vocabulary } = model;
  const { imagePad, visionStart, visionEnd } = vocabulary;
  const positions = 20; // more than one run scores
  const ids = Array.from({ length: positions * 4 }, (_, k) => bookRange(k % 4, vocabulary)[0] + ((k * 7) % 5));
  const text = [2, 3, 8, 87, visionStart, ...Array(positions).fill(imagePad), visionEnd, 5, 6];
  const row = expandRow(text, ids, vocabulary);
  const end = blockCount(row, vocabulary);
  const scored = await scoreBlocks(model, model.start(), { row, start: 2, end });
  expect(scored.map(({ length }) => length)).toEqual([1, 1, 1, ...Array(positions).fill(4), 1, 1, 1]);
  const sequence = model.start();
  await sequence.read(row.subarray(0, 2 * 5));
  for (const [k, values] of scored.entries()) {
    const block = row.subarray((2 + k) * 5, (3 + k) * 5);
    for (const [i, value] of values.entries()) {
      const before = [...block.subarray(0, i)];
      expect(value).toBeCloseTo(logProbability(await scoreSlot(model, sequence, before), block[i]!), 4);
    }
    await sequence.read(block);
  }
});

test("both samples of the reference, text and image, have the log-probabilities of its logits", async () => {
  const number = (data: ArrayLike<number | bigint>) => Array.from(data, Number);
  const inputs = await readSafetensors(join(folder, "inputs.safetensors"));
  const outputs = await readSafetensors(join(folder, "outputs.safetensors"));
  const borders = number(inputs.get("cu_seqlens")!.data);
  const rows = Int32Array.from(number(outputs.get("expanded_ids")!.data));
  const logits = Float32Array.from(number(outputs.get("logits")!.data)); // [39, 5, 160]
  for (const [k, from] of borders.slice(0, -1).entries()) {
    const row = rows.subarray(from * 5, borders[k + 1]! * 5);
    const scored = await scoreBlocks(model, model.start(), {
      row,
      start: 1,
      end: blockCount(row, model.vocabulary),
    });
    expect(scored.flat().length).toBeGreaterThan(scored.length); // there is an image among them
    for (const [t, values] of scored.entries()) {
      for (const [i, value] of values.entries()) {
        const at = ((from + t) * 5 + i) * 160;
        expect(value).toBeCloseTo(logProbability(logits.subarray(at, at + 160), row[(t + 1) * 5 + i]!), 4);
      }
    }
  }
});
