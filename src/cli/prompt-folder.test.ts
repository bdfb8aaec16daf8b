import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadImage } from "../index.ts";
import { drawPrompts, parsePrompts } from "./prompt-folder.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-prompts-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("prompts are read from GenEval's metadata and from plain lines", () => {
  const metadata = '{"tag": "counting", "include": [], "prompt": "two red circles"}';
  const rows = parsePrompts(`${metadata}\r\n\na blue star\n`, "p");
  expect(rows).toEqual([
    { prompt: "two red circles", line: metadata },
    { prompt: "a blue star", line: '{"prompt":"a blue star"}' },
  ]);
  expect(() => parsePrompts('a star\n{"tag": 1}', "p.jsonl")).toThrow(
    "p.jsonl, line 2: expected an object with a text",
  );
  expect(() => parsePrompts("{", "p.jsonl")).toThrow("line 1");
  expect(() => parsePrompts("\n", "p.jsonl")).toThrow("contains no prompts");
});

test("each prompt has a folder with its line, its images and all of them side by side", async () => {
  const rows = parsePrompts('{"prompt": "grey", "tag": "colors"}\nwhite\n', "p");
  const image = (level: number) => ({ width: 4, height: 6, data: new Uint8Array(72).fill(level) });
  const draw = async (prompt: string) => (prompt === "grey" ? [image(128), image(129)] : [image(255)]);
  const folders = await drawPrompts(rows, join(folder, "out"), draw);
  expect(folders).toEqual([join(folder, "out", "00000"), join(folder, "out", "00001")]);
  expect((await readdir(folders[0]!)).sort()).toEqual(["grid.png", "metadata.jsonl", "samples"]);
  expect(await readdir(join(folders[0]!, "samples"))).toEqual(["00000.png", "00001.png"]);
  expect(JSON.parse(await readFile(join(folders[0]!, "metadata.jsonl"), "utf8"))).toEqual({
    prompt: "grey",
    tag: "colors",
  });
  const grid = await loadImage(await readFile(join(folders[0]!, "grid.png")));
  expect([grid.width, grid.height]).toEqual([8, 6]);
  expect([grid.data[0], grid.data[3 * 7]]).toEqual([128, 129]);
});
