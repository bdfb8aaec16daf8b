// The report of a check: what works, what is missing, what fails, and nothing about who made it.

import { copyFile, cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeTinyModel } from "../../test/tiny-model.ts";
import { readSafetensors, writeSafetensors } from "../quantize/safetensors-file.ts";
import { type CheckReport, checkModel } from "./check.ts";
import { printOfCodes, printOfPixels } from "./fingerprint.ts";
import { withoutPrivate } from "./private.ts";
import { reportText } from "./report-text.ts";

let root: string;
let tiny: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-check-"));
  tiny = await writeTinyModel(join(root, "tiny"));
});
afterAll(() => rm(root, { recursive: true }));

const outcome = ({ tasks }: CheckReport) => Object.fromEntries(tasks.map(({ task, status }) => [task, status]));

test("a model with all its parts gives the same results each time, in seconds", async () => {
  const reports = [await checkModel(tiny), await checkModel(tiny)];
  const [first, second] = reports.map(({ tasks }) => tasks.map(({ task, results }) => [task, results]));
  expect(first).toEqual(second);
  const report = reports[0]!;
  expect(outcome(report)).toEqual({ load: "ok", tokenize: "ok", reconstruct: "ok", answer: "ok", imagine: "ok" });
  expect(report.hasFailed).toBe(false);
  const hashes = report.tasks.flatMap(({ results }) =>
    results.codes ? [(results.codes as { sha256: string }).sha256] : [],
  );
  expect(new Set(hashes).size).toBe(4); // three images and an imagined one
  const text = reportText(report);
  for (const { task } of report.tasks) expect(text).toContain(`\n${task}`);
  expect(text).toContain("result         ok");
}, 60_000);

test("a part that is missing is no failure, and a part that fails does not keep the others from being tried", async () => {
  const without = join(root, "without");
  await cp(tiny, without, { recursive: true });
  await rm(join(without, "dit"), { recursive: true });
  const missing = await checkModel(without);
  expect(outcome(missing)).toEqual({
    load: "ok",
    tokenize: "ok",
    reconstruct: "missing",
    answer: "ok",
    imagine: "missing",
  });
  expect(missing.hasFailed).toBe(false);
  const mute = join(root, "mute");
  await cp(tiny, mute, { recursive: true });
  await writeFile(join(mute, "chat_template.jinja"), "{{ raise_exception('I do not speak') }}");
  const broken = await checkModel(mute, { skip: ["imagine"] });
  expect(outcome(broken)).toMatchObject({ tokenize: "ok", reconstruct: "ok", answer: "failed", imagine: "skipped" });
  const damaged = join(root, "damaged");
  await cp(tiny, damaged, { recursive: true });
  await truncate(join(damaged, "model.safetensors"), 1000);
  const failed = await checkModel(damaged, { skip: ["imagine"] });
  expect(outcome(failed)).toEqual({ load: "failed" });
  expect(failed.hasFailed).toBe(true);
  expect(reportText(failed)).toMatch(/^load +FAILED after .*model\.safetensors/m);
  expect(failed.environment.engine).toMatch(/^onnxruntime-(node|web) \d+\.\d+/);
}, 60_000);

test("an image tokenizer alone has no other parts, and a field that is not known is told of", async () => {
  const alone = join(root, "alone");
  await mkdir(alone);
  const { tokenizer_config } = JSON.parse(await readFile(join(tiny, "config.json"), "utf8"));
  const config = { ...tokenizer_config, field_of_tomorrow: 1, __class__: "KeyeTokenizerConfig" };
  await writeFile(join(alone, "config.json"), JSON.stringify(config));
  await copyFile(join(tiny, "preprocessor_config.json"), join(alone, "preprocessor_config.json"));
  const weights = await readSafetensors(join(tiny, "model.safetensors"));
  await writeSafetensors(
    join(alone, "model.safetensors"),
    [...weights].flatMap(([name, weight]) => {
      const [, own] = /^visual_tokenizer\.(.*)/.exec(name) ?? [];
      return own === undefined ? [] : [[own, weight] as const];
    }),
  );
  const report = await checkModel(alone);
  expect(outcome(report)).toEqual({
    load: "ok",
    tokenize: "ok",
    reconstruct: "missing",
    answer: "missing",
    imagine: "missing",
  });
  expect(report.hasFailed).toBe(false);
  expect(reportText(report)).toMatch(/^warning .*field_of_tomorrow/m);
});

test("parts are skipped on demand", async () => {
  const report = await checkModel(tiny, { skip: ["reconstruct", "imagine"] });
  expect(outcome(report)).toMatchObject({ reconstruct: "skipped", imagine: "skipped", answer: "ok" });
});

test("ends at its signal", async () => {
  const reason = new Error("enough");
  await expect(checkModel(tiny, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test("what tells who made a report is taken out of it, at every depth", async () => {
  const environment = {
    HF_TOKEN: "hf_abcdefghijklmnop",
    MY_API_KEY: "sesame-open",
    USER: "maria",
    HOME: "/home/maria",
  };
  const report = {
    model: "/home/maria/models/x",
    tasks: [{ message: "/media/maria/disk: 401 for hf_abcdefghijklmnop, hf_anotherone99 and sesame-open" }],
    codes: { sha256: "ff", first: [1, 2] },
  };
  expect(withoutPrivate(report, environment)).toEqual({
    model: "~/models/x",
    tasks: [{ message: "/media/USER/disk: 401 for TOKEN, TOKEN and TOKEN" }],
    codes: { sha256: "ff", first: [1, 2] },
  });
  const text = JSON.stringify(withoutPrivate({ path: join(homedir(), "models", userInfo().username) }));
  expect(text).not.toContain(userInfo().username);
});

test("results are told apart by their prints", async () => {
  const codes = (first: number) => printOfCodes({ grid: [1, 2], codes: Uint16Array.from([first, 258]) });
  expect(codes(1).sha256).not.toBe(codes(2).sha256);
  // sha256 of 01 00 02 01
  expect(codes(1).sha256).toBe("d4744442255e7771a216170e3f705b6c9e519b7f05d6c0ce0eaf402e44a8c6a9");
  const data = Uint8Array.from([0, 10, 20, 100, 10, 40]);
  expect(printOfPixels({ width: 2, height: 1, data })).toMatchObject({ mean: [50, 10, 30], deviation: [50, 0, 10] });
});
