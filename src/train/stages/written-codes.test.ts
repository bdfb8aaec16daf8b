import { expect, test } from "vitest";
import { readJson } from "../../checkpoint/json-file.ts";
import { fileAt, folderFiles } from "../../files/folder.node.ts";
import { languageModelConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { generate } from "../../llm/generate.ts";
import { LanguageModel } from "../../llm/language-model.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, i32 } from "../../runtime/host-tensor.ts";
import { blockInputs, expandRow } from "../../sequence/blocks.ts";
import { bookRange } from "../../sequence/layout.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { RowWriter } from "../data/rows.ts";
import { openCheckpointAt } from "../open-checkpoint.ts";
import { CodeWriter } from "./written-codes.ts";

const [M, N] = [36, 8];

test("at the codes that the language model wrote greedily, the likeliest codes are these", async () => {
  const folder = "models/kelix-nano";
  const ar = parseKeyeArConfig(await readJson(...fileAt(`${folder}/config.json`)), folder);
  const weights = await openCheckpointAt(folder);
  const writer = new RowWriter(await TextTokenizer.load(folderFiles(folder)), M);
  const row = writer.imagining("a red circle");
  const start = row.ids.indexOf(writer.imageId) - 1;

  const model = await LanguageModel.open(languageModelConfig(ar), weights, { threads: 1 });
  const prompt = expandRow(row.ids.slice(0, start + 1), [], model.vocabulary);
  const options = { blocksPerImage: M, temperature: 0, maxNewBlocks: M };
  const ids: number[] = [];
  for await (const block of generate(model, model.start(), prompt, options)) ids.push(...block.ids.subarray(0, N));
  const { vocabulary } = model;
  await model.dispose();

  const sizes = { rows: 1, blocks: row.ids.length, positions: M };
  const codeWriter = await CodeWriter.open(ar, weights, sizes, { threads: 1 });
  const { index, weight } = blockInputs(expandRow(row.ids, ids, vocabulary), vocabulary);
  const shape = [1, row.ids.length, N];
  const feeds = { index: i32(Int32Array.from(index), shape), weight: f32(Float32Array.from(weight), shape) };
  const random = counterRandom(1, "written");
  const codes = await codeWriter.write(feeds, [start], random, { temperature: 0, topK: 0, topP: 1 });
  expect(Array.from(codes, (code, at) => code + bookRange(at % N, vocabulary)[0])).toEqual(ids);
  // Drawn, some differ, all from their own books.
  const drawn = await codeWriter.write(feeds, [start], random);
  expect(drawn).not.toEqual(codes);
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...drawn)).toBeLessThan(256);
  await codeWriter.release();
  await weights.close();
});
