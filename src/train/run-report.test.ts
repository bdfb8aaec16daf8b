import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { thin, writeRunReport } from "./run-report.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-report-"));
});

afterAll(() => rm(folder, { recursive: true }));

test("long logs are averaged by name over stretches of steps, each at its last step", () => {
  const entries = Array.from({ length: 10 }, (_, i) => ({
    step: i + 1,
    loss: i,
    ...(i === 4 && { rare: 7 }),
    broken: null,
  }));
  expect(thin(entries, 3)).toEqual([
    { step: 4, loss: 1.5 },
    { step: 8, loss: 5.5, rare: 7 },
    { step: 10, loss: 8.5 },
  ]);
  expect(thin(entries, 10)).toEqual(entries);
});

test("the page holds a plot for every name, its last value, and the samples, and loads nothing", async () => {
  await mkdir(join(folder, "samples"));
  const config = { stage: "tokenizer", description: "a <b> & c", steps: 40 };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const log = [1, 2, 3].map((step) => JSON.stringify({ step, loss: 2 / step, rate: 0.1, "imageLoss.edit": 3 }));
  await writeFile(join(folder, "log.jsonl"), `${log.join("\n")}\n`);
  await writeFile(join(folder, "samples", "numbers.jsonl"), `{"step":2,"psnr":20.5}\n{"step":3,"psnr":21.25}\n`);
  await writeFile(join(folder, "samples", "images-3.png"), Buffer.from([1, 2, 3]));
  await writeFile(
    join(folder, "samples", "answers-3.md"),
    "| question | answer |\n|---|---|\n| What is <this>? | a dog |\n",
  );
  const page = await readFile(await writeRunReport(folder), "utf8");
  expect(page.match(/<svg/g)).toHaveLength(4);
  expect(page).toContain("psnr: 21.25 at step 3");
  expect(page).toContain("imageLoss.edit: 3.000 at step 3");
  expect(page).toContain("Step 3 of 40");
  expect(page).toContain("a &lt;b&gt; &amp; c");
  expect(page).toContain("data:image/png;base64,AQID");
  expect(page).toContain("<td>What is &lt;this&gt;?</td><td>a dog</td>");
  expect(page.replaceAll("http://www.w3.org/", "")).not.toMatch(/https?:|<script|<link/);
});

test("a run that has logged nothing yet has a page, too", async () => {
  const empty = join(folder, "empty");
  await mkdir(empty);
  expect(await readFile(await writeRunReport(empty), "utf8")).toContain("Step 0");
});
