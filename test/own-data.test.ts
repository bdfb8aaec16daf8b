// Training on somebody's own examples: every format goes on with the same losses when a run is cut, and every stage learns from them.

import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodePng } from "../src/image/codec.node.ts";
import { type RunConfig, runSchema } from "../src/train/config.ts";
import type { LogEntry, RunOptions } from "../src/train/run.ts";
import { startRun, startTraining } from "../src/train/start.ts";
import { writeTinyModel } from "./tiny-model.ts";

const fixture = (name: string) => fileURLToPath(new URL(`data/${name}`, import.meta.url));

let root: string;
let model: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-own-"));
  model = await writeTinyModel(join(root, "model"));
  await writeFormats();
});
afterAll(() => rm(root, { recursive: true, force: true }));

const colours = { red: [222, 38, 42], green: [38, 160, 62], blue: [38, 88, 222], white: [255, 255, 255] } as const;

async function writeFormats(): Promise<void> {
  const images: Record<string, Uint8Array> = {};
  for (const [name, rgb] of Object.entries(colours))
    images[name] = await encodePng({
      width: 6,
      height: 4,
      data: Uint8Array.from({ length: 72 }, (_, i) => rgb[i % 3]!),
    });
  await mkdir(join(root, "captions"));
  for (const [name, bytes] of Object.entries(images)) await writeFile(join(root, "captions", `${name}.png`), bytes);
  const names = Object.keys(colours);
  const lines = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).join("\n");
  await writeFile(
    join(root, "captions", "captions.jsonl"),
    lines(
      names.flatMap((name) => [
        { image: `${name}.png`, caption: `all ${name}` },
        { image: `${name}.png`, question: "What colour is it?", answer: name },
      ]),
    ),
  );
  const url = (name: string) => `data:image/png;base64,${Buffer.from(images[name]!).toString("base64")}`;
  await writeFile(
    join(root, "chats.jsonl"),
    lines(
      names.flatMap((name) => [
        {
          messages: [
            {
              role: "user",
              content: [{ type: "image", image: url(name) }, { type: "image", image: url("red") }, "Which is red?"],
            },
            { role: "assistant", content: "the second" },
          ],
        },
        {
          messages: [
            { role: "user", content: `Draw ${name}.` },
            { role: "assistant", content: [{ type: "image", image: url(name) }] },
          ],
        },
      ]),
    ),
  );
  await writeFile(
    join(root, "texts.jsonl"),
    lines(names.map((name) => ({ text: `The colour ${name} is a colour. `.repeat(20) }))),
  );
  await mkdir(join(root, "shards"));
  for (const name of ["gnu.tar", "pax.tar"]) await copyFile(fixture(name), join(root, "shards", name));
  await mkdir(join(root, "parquet"));
  for (const name of ["reference-snappy.parquet", "reference-zstd.parquet"])
    await copyFile(fixture(name), join(root, "parquet", name));
}

const readJson = async (path: string) =>
  JSON.parse(await readFile(join(model, path), "utf8")) as Record<string, unknown>;

async function configure(
  stage: Exclude<RunConfig["stage"], "adapter">,
  name: string,
  path: string,
): Promise<RunConfig> {
  const [ar, dit, vae] = [
    await readJson("config.json"),
    await readJson("dit/config.json"),
    await readJson("vae/config.json"),
  ];
  const autoencoder = { config: vae, weights: join(model, "vae") };
  const source = { path: join(root, path) };
  const own = { own: 1 };
  const stages: Record<Exclude<RunConfig["stage"], "adapter">, Partial<RunConfig>> = {
    autoencoder: {
      initFrom: [join(model, "vae")],
      data: { side: 96, batch: 2, mix: own },
      model: { config: vae, weights: {} },
    },
    tokenizer: {
      initFrom: [model],
      data: { tokenizer: model, batch: 2, length: 96, answers: 40, mix: own },
      model: { config: ar, quantize: true, weights: {} },
    },
    "language-model": {
      initFrom: [model],
      data: { tokenizer: model, batch: 3, imagine: 1, length: 150, questions: own, requests: own, wrongCodes: 0.1 },
      model: { config: ar, visualTokenizer: model },
    },
    diffusion: {
      initFrom: [join(model, "dit")],
      data: { tokenizer: model, pool: 16, batch: 2, mix: own, hidden: 0.5 },
      model: { config: dit, autoencoder, languageModel: { config: ar, weights: model }, visualTokenizer: model },
    },
  };
  const { data, ...rest } = stages[stage];
  return runSchema.parse({
    ...{ stage, description: "own data", folder: join(root, name), seed: 3, steps: 8, threads: 1 },
    ...{ learningRate: { base: 1e-3 }, logEvery: 1, checkpointEvery: 3, sampleEvery: 1000, ...rest },
    data: { ...data, source },
  });
}

async function losses(config: RunConfig, options: RunOptions): Promise<(readonly [number, number])[]> {
  const entries: LogEntry[] = await startRun(config, "config", options);
  return entries.map(({ step, loss }) => [step, loss] as const);
}

test.each([
  ["language-model", "captions"],
  ["language-model", "chats.jsonl"],
  ["language-model", "texts.jsonl"],
  ["language-model", "shards"],
  ["language-model", "parquet"],
  ["autoencoder", "captions"],
  ["tokenizer", "captions"],
  ["diffusion", "captions"],
] as const)("%s on %s: a run that was cut goes on with the same losses", async (stage, path) => {
  const config = await configure(stage, `${stage}-${path}`, path);
  const whole = await losses(config, { stopAfter: 5 });
  expect(whole.map(([step]) => step)).toEqual([1, 2, 3, 4, 5]);
  expect(whole.every(([, loss]) => Number.isFinite(loss) && loss > 0)).toBe(true);
  // As after a kill: its last checkpoint is of step 3.
  expect(await losses(config, { stopAfter: 5, resume: true })).toEqual(whole.slice(3));
});

test.each(["autoencoder", "tokenizer", "language-model", "diffusion"] as const)(
  "%s: a config of another model goes on from a model folder, with its parts",
  async (stage) => {
    const { folder: _, ...config } = await configure(stage, `init-${stage}`, "captions");
    const nowhere = join(root, "nowhere");
    const text = JSON.stringify({ ...config, folder: join(root, `init-${stage}`), initFrom: [nowhere] });
    const path = join(root, `init-${stage}.json`);
    // Everything of the tiny model is named wrongly, but for `--init`.
    await writeFile(path, text.replaceAll(`"${model}`, `"${nowhere}`));
    const entries = await startTraining(stage, path, { init: model, stopAfter: 1 });
    expect(entries.map(({ step }) => step)).toEqual([1]);
  },
);

test("goes on with the same data in another place, and not with other data", async () => {
  const config = await configure("autoencoder", "moved", "captions");
  await startRun(config, "config", { stopAfter: 3 });
  await mkdir(join(root, "elsewhere"));
  for (const name of ["captions.jsonl", ...Object.keys(colours).map((colour) => `${colour}.png`)])
    await copyFile(join(root, "captions", name), join(root, "elsewhere", name));
  const at = (path: string): RunConfig => ({ ...config, data: { ...config.data, source: { path: join(root, path) } } });
  await expect(losses(at("elsewhere"), { stopAfter: 4, resume: true })).resolves.toEqual([[4, expect.any(Number)]]);
  await expect(startRun(at("shards"), "config", { stopAfter: 5, resume: true })).rejects.toThrow(
    /data\.source\.fingerprint/,
  );
});
