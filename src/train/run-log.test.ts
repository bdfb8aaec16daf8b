import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { appendRunLog, cutRunLog, readRunLog } from "./run-log.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-log-"));
  path = join(folder, "log.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const line = (step: number) => `{"step":${step},"loss":0.5}\n`;

test("reads entries, a number that was not finite too", async () => {
  await appendRunLog(path, { step: 1, loss: Number.NaN });
  await appendRunLog(path, { step: 2, loss: 0.25 });
  expect(await readRunLog(path)).toEqual([
    { step: 1, loss: null },
    { step: 2, loss: 0.25 },
  ]);
  expect(await readRunLog(join(folder, "none"))).toEqual([]);
});

test.each([
  ["cut within a line", `${line(1)}{"step":2,"lo`],
  ["cut before the line's end, where digits may be missing", `${line(1)}{"step":2,"loss":0.5}`],
  ["cut and written on by an earlier version", `${line(1)}{"step":2,"lo${line(3)}`],
  ["with an entry of no step", `${line(1)}{}\n`],
  ["with null", `${line(1)}null\n`],
  ["with a step that is a text", `${line(1)}{"step":"2"}\n`],
  ["with a step below 0", `${line(1)}{"step":-2}\n`],
  ["with a step that is none", `${line(1)}{"step":true}\n`],
  ["with a report that is a text", `${line(1)}{"step":2,"loss":"low"}\n`],
  ["with zeros after a power cut", `${line(1)}\0\0\0\0`],
])("passes over what is no entry in a log %s, and cuts it off", async (_, text) => {
  await writeFile(path, text);
  expect(await readRunLog(path)).toEqual([{ step: 1, loss: 0.5 }]);
  expect(await cutRunLog(path, 9)).toBe(1);
  expect(await readFile(path, "utf8")).toBe(line(1));
});

test("cuts a log back to a step, and leaves no other file", async () => {
  await writeFile(path, [1, 2, 3, 4].map(line).join(""));
  expect(await cutRunLog(path, 2)).toBe(2);
  expect(await readFile(path, "utf8")).toBe(line(1) + line(2));
  expect(await cutRunLog(path, 2)).toBe(0);
  expect(await readdir(folder)).toEqual(["log.jsonl"]);
});

test("rejects what is no file", async () => {
  await expect(readRunLog(folder)).rejects.toThrow(`${folder}: expected a file, found something else. Move it away`);
});
