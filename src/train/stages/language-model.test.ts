import { beforeAll, expect, test } from "vitest";
import { folderFiles } from "../../files/folder.node.ts";
import { type KeyeArConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { counterRandom } from "../../random/counter.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { readRunConfig } from "../config.ts";
import { RowWriter } from "../data/rows.ts";
import { sampleEdit } from "../data/scene-edits.ts";
import { blankImage } from "../data/shapes.ts";
import { dataSchema, packBatch, type Row, spoil } from "./language-batch.ts";

const [N, POSITIONS, BOOK] = [8, 36, 256];
let config: KeyeArConfig;
let writer: RowWriter;

beforeAll(async () => {
  const run = await readRunConfig("configs/nano/language-model.json");
  config = parseKeyeArConfig(run.model.config, "config");
  writer = new RowWriter(await TextTokenizer.load(folderFiles("models/kelix-nano")), POSITIONS);
});

test("spoil changes one code at about the share of positions, to another of its book, and leaves the true codes alone", () => {
  const positions = 1000;
  const codes = Int32Array.from({ length: N * positions }, (_, i) => (i * 31) % BOOK);
  const before = codes.slice();
  const spoilt = spoil(codes, N, 0.1, { codebookSize: N * BOOK }, counterRandom(1, "spoil"));
  expect(codes).toEqual(before);
  const changed = Array.from({ length: positions }, (_, p) =>
    Array.from({ length: N }, (_, i) => p * N + i).filter((at) => spoilt[at] !== codes[at]),
  ).filter((places) => places.length > 0);
  expect(changed.length / positions).toBeCloseTo(0.1, 1);
  for (const places of changed) expect(places).toHaveLength(1);
  for (const code of spoilt) {
    expect(code).toBeGreaterThanOrEqual(0);
    expect(code).toBeLessThan(BOOK);
  }
});

test("an edit reads its first image as it is and is scored on its last one alone", () => {
  const data = {
    ...dataSchema.parse({
      ...{ tokenizer: "models/kelix-nano", batch: 2, imagine: 1, edits: 1, length: 124 },
      ...{ questions: { scene: 1 }, requests: { emoji: 1 }, wrongCodes: 1 },
    }),
    ...{ scoredBlocks: 120, labels: 800 },
  };
  const image = blankImage(96, [0, 0, 0]);
  const { instruction } = sampleEdit("train", 3, 5, 96);
  const rows: Row[] = [
    { ...writer.imagining("a dog"), images: [image], written: "emoji" },
    { ...writer.editing(instruction), images: [image, image], written: "edit" },
  ];
  const codes = Int32Array.from({ length: 3 * POSITIONS * N }, (_, i) => i % BOOK);
  const { feeds } = packBatch(rows, codes, counterRandom(1, "wrong"), config, data, writer.padId);
  const { vocab_size: V, q_eos_token: qEos } = config.qwen_config;
  const labels = Array.from(feeds.labels!.data as Int32Array);
  const visual = labels.map((label, r) => ({ label, r })).filter(({ label }) => label >= V && label !== qEos);
  expect(visual).toHaveLength(2 * POSITIONS * N);
  // The image of the request is codes 0 .. 287, the edit's source 288 .. 575, its answer 576 .. 863: sources are never labels.
  const wanted = Int32Array.from(codes, (code, i) => V + (i % N) * BOOK + code);
  expect(visual.map(({ label }) => label)).toEqual([
    ...wanted.subarray(0, POSITIONS * N),
    ...wanted.subarray(2 * POSITIONS * N),
  ]);
  // What is read: the source whole, one code changed at every position of what is written.
  const index = feeds.index!.data as Int32Array;
  const T = data.length;
  const first = rows[1]!.ids.indexOf(writer.imageId);
  const source = index.subarray((T + first) * N, (T + first + POSITIONS) * N);
  expect(source).toEqual(wanted.subarray(POSITIONS * N, 2 * POSITIONS * N));
  const answer = rows[1]!.ids.lastIndexOf(writer.imageId) - POSITIONS + 1;
  const read = index.subarray((T + answer) * N, (T + answer + POSITIONS) * N);
  expect(read.filter((id, i) => id !== wanted[2 * POSITIONS * N + i])).toHaveLength(POSITIONS);
  // Each kind's mean is over its own labels.
  const shares = feeds.shares!.data as Float32Array;
  const columns = feeds.shares!.shape[1]!;
  const sumOf = (column: number) => visual.map(({ r }) => shares[r * columns + column]!);
  expect(columns).toBe(4); // text, image, emoji, edit
  expect(sumOf(2)).toEqual([...Array(288).fill(Math.fround(1 / 288)), ...Array(288).fill(0)]);
  expect(sumOf(3)).toEqual([...Array(288).fill(0), ...Array(288).fill(Math.fround(1 / 288))]);
});

test("packed samples are read and scored as in rows of their own", () => {
  const both = {
    ...dataSchema.parse({
      ...{ tokenizer: "models/kelix-nano", batch: 3, imagine: 2, length: 124 },
      ...{ questions: { scene: 1 }, requests: { emoji: 0.5, scene: 0.5 }, wrongCodes: 0.5 },
    }),
    ...{ scoredBlocks: 140, labels: 1100 },
  };
  const image = blankImage(96, [0, 0, 0]);
  const said = writer.understanding([{ question: "What is this?", answer: "a cat" }], both.length);
  const rows: Row[] = [
    { ...writer.imagining("a dog"), images: [image], written: "emoji" },
    { ...writer.imagining("two red circles"), images: [image], written: "scene" },
    { ids: said.ids, isAnswer: said.ids.map(() => true), images: [image] }, // as rows of text alone are
  ];
  const codes = Int32Array.from({ length: 3 * POSITIONS * N }, (_, i) => i % BOOK);
  const tables = [undefined, 2].map((packedRows) => {
    const data = { ...both, ...(packedRows && { packedRows }) };
    const { feeds, tokens } = packBatch(rows, codes, counterRandom(1, "wrong"), config, data, writer.padId);
    expect(tokens).toBe(rows.reduce((sum, { ids }) => sum + ids.length, 0));
    expect(feeds.index!.shape[0]).toBe(packedRows ?? 3);
    const value = (name: string) => feeds[name]!.data as Float32Array;
    // What each scored position reads, sees and is turned by, and how often its labels count for what is reported.
    const [T, half, columns] = [data.length, config.qwen_config.head_dim / 2, feeds.shares!.shape[1]!];
    const slots = N + 1;
    return Array.from(value("rows"), (row, r) => {
      const at = value("positions")[Math.floor(row / slots)]!;
      const seen = value("mask")
        .slice(at * T, (at + 1) * T)
        .filter((score) => score === 0).length;
      return JSON.stringify([
        ...[row % slots, value("labels")[r], value("weights")[r]!.toPrecision(5), seen],
        ...[...value("index").slice(at * N, (at + 1) * N), ...value("cos").slice(at * half, (at + 1) * half)],
        ...value("shares").slice(r * columns, (r + 1) * columns),
      ]);
    })
      .filter((_, r) => value("weights")[r] !== 0)
      .sort();
  });
  expect(new Set(tables[0]).size).toBeGreaterThan(500);
  expect(tables[1]).toEqual(tables[0]);
});
