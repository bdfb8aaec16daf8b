// To the reference's training and back: a model in its layout, its sharded checkpoint, and data in its Parquet rows.

import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Example, imagesOf } from "../src/corpus/example.ts";
import { openData } from "../src/corpus/open.ts";
import { encodePng } from "../src/image/codec.node.ts";
import { Kelix } from "../src/index.ts";
import { readSafetensors, writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { counterRandom } from "../src/random/counter.ts";
import { f32 } from "../src/runtime/host-tensor.ts";
import { exportData } from "../src/train/export-data.ts";
import { exportModel } from "../src/train/export-model.ts";
import { referenceFaults } from "./reference-layout.ts";
import { writeTinyModel } from "./tiny-model.ts";

let root: string;
let model: string;
let known: Readonly<Record<string, never>>;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-hand-over-"));
  model = await writeTinyModel(join(root, "model"));
  // As after training: numbers that bf16 does not hold.
  const path = join(model, "model.safetensors");
  const random = counterRandom(1, "hand-over").sequence();
  const trained = [...(await readSafetensors(path))].map(([name, { data, shape }]) => {
    const values = Float32Array.from(data as Uint16Array, (bits) => {
      return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]! * (1 + 0.003 * random.normal());
    });
    return [name, f32(values, shape)] as const;
  });
  await rm(path);
  await writeSafetensors(path, trained);
  known = JSON.parse(await readFile("test/released/as-saved/config.json", "utf8"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Mean loss over the tokens of an answer, and over the codes of an image that is drawn. */
async function losses(folder: string): Promise<number[]> {
  await using kelix = await Kelix.load(folder, { threads: 1 });
  const image = { width: 32, height: 32, data: Uint8Array.from({ length: 3072 }, (_, i) => (i * 7) % 256) };
  const asked = {
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text: "What is this?" },
    ],
  } as const;
  const turns = [
    [asked, { role: "assistant", content: "a red circle" }],
    [
      { role: "user", content: "a red circle" },
      { role: "assistant", content: [{ type: "image", image }] },
    ],
  ] as const;
  const means: number[] = [];
  for (const messages of turns) {
    const scores = await kelix.score(messages as never);
    means.push(-scores.reduce((sum, { logprob }) => sum + logprob, 0) / scores.length);
  }
  return means;
}

function expectSame(found: readonly number[], wanted: readonly number[]): void {
  for (const [i, loss] of wanted.entries()) expect(Math.abs(found[i]! - loss)).toBeLessThan(1e-5);
}

test("the strict loader accepts what the reference itself has written", async () => {
  expect(await referenceFaults("test/released/gqa8/model", known)).toEqual([]);
});

test("a model goes to the reference's layout in shards, and its sharded checkpoint comes back, with the same losses", async () => {
  const [there, back] = [join(root, "there"), join(root, "back")];
  await exportModel(model, there, { precision: "f32", maxShardBytes: 100_000 });
  expect(await referenceFaults(there, known)).toEqual([]);
  const shards = (await readdir(there)).filter((name) => name.endsWith(".safetensors"));
  expect(shards.length).toBeGreaterThan(3);
  const wanted = await losses(model);
  expectSame(await losses(there), wanted);

  // Its converter of distributed checkpoints numbers from 00000 and writes a wrong total.
  await cp(there, back, { recursive: true });
  const renumbered = (name: string) => name.replace(/\d{5}/, (digits) => String(Number(digits) - 1).padStart(5, "0"));
  for (const name of shards.sort()) await rename(join(back, name), join(back, renumbered(name)));
  const indexPath = join(back, "model.safetensors.index.json");
  const { weight_map } = JSON.parse(await readFile(indexPath, "utf8"));
  const moved = Object.entries(weight_map as Record<string, string>).map(([name, file]) => [name, renumbered(file)]);
  await writeFile(indexPath, JSON.stringify({ metadata: { total_size: 1 }, weight_map: Object.fromEntries(moved) }));
  expectSame(await losses(back), wanted);
});

test("without --precision f32 the losses change by more", async () => {
  const rounded = join(root, "rounded");
  await exportModel(model, rounded);
  expect(await referenceFaults(rounded, known)).toEqual([]);
  const [found, wanted] = [await losses(rounded), await losses(model)];
  expect(Math.max(...wanted.map((loss, i) => Math.abs(loss - found[i]!)))).toBeGreaterThan(1e-5);
});

/** What an example is, its images as their pixels. */
async function facts(example: Example): Promise<unknown> {
  const pixels = await Promise.all(imagesOf(example).map(async (image) => [...(await image.read()).data]));
  const words = JSON.parse(JSON.stringify({ ...example, where: "" }, (key, value) => (key === "image" ? "*" : value)));
  return { ...words, pixels };
}

async function readAll(path: string): Promise<unknown[]> {
  const source = await openData(path);
  try {
    const found: unknown[] = [];
    for (let i = 0; i < source.count; i++) found.push(await facts(await source.read(i)));
    return found;
  } finally {
    await source.close();
  }
}

test("rows that are written as Parquet read again as the same", async () => {
  const folder = await mkdtemp(join(root, "data-"));
  for (const [i, name] of ["a", "b"].entries())
    await writeFile(
      join(folder, `${name}.png`),
      await encodePng({ width: 2, height: 1, data: Uint8Array.of(i, 2, 3, 4, 5, 6) }),
    );
  const rows = [
    { image: "a.png", caption: "the first, with a \u{1f642}" },
    {
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "image", image: "a.png" }, { type: "image", image: "b.png" }, "Which?"] },
        { role: "assistant", content: "both" },
      ],
    },
    {
      segments: [
        { type: "text", text: "once" },
        { type: "image", image: "b.png" },
      ],
    },
    { image: "b.png", question: "What?", answer: "blue" },
    { text: "only words" },
  ];
  await writeFile(join(folder, "captions.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  const out = join(root, "parquet");
  expect(await exportData(folder, out, { rowsPerFile: 2 })).toBe(rows.length);
  expect(await readdir(out)).toEqual(["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]);
  expect(await readAll(out)).toEqual(await readAll(folder));
  const drawn = join(root, "drawn");
  await exportData(folder, drawn, { captions: "draw" });
  const [first] = (await readAll(drawn)) as [{ kind: string; turns: { role: string; content: { type: string }[] }[] }];
  expect(first.turns.map(({ role, content }) => [role, content.map(({ type }) => type)])).toEqual([
    ["user", ["text"]],
    ["assistant", ["image"]],
  ]);
});
