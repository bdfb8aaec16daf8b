// The examples of docs/data.md are read as it says.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { imagesOf } from "../src/corpus/example.ts";
import { openData } from "../src/corpus/open.ts";
import { encodePng } from "../src/image/codec.node.ts";

let root: string;
let page: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-data-docs-"));
  page = await readFile(fileURLToPath(new URL("../docs/data.md", import.meta.url)), "utf8");
  await mkdir(join(root, "images"));
  const image = await encodePng({ width: 2, height: 2, data: new Uint8Array(12) });
  for (const name of ["dog.png", "chart.png"]) await writeFile(join(root, "images", name), image);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const block = (language: string) => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)![1]!;

test("every row of the page is an example, with its images", async () => {
  const rows = block("jsonl");
  await writeFile(join(root, "captions.jsonl"), rows);
  const source = await openData(root);
  expect(source.count).toBe(9);
  const kinds: string[] = [];
  for (let i = 0; i < source.count; i++) {
    const example = await source.read(i);
    for (const image of imagesOf(example)) expect((await image.read()).width).toBe(2);
    kinds.push(`${example.kind} ${imagesOf(example).length}`);
  }
  await source.close();
  expect(kinds).toEqual([
    ...["caption 1", "chat 1", "chat 0", "chat 1", "chat 1", "chat 1", "document 1", "document 0", "image 1"],
  ]);
});

test("the JSON of a WebDataset sample is a row", () => {
  expect(JSON.parse(block("json"))).toEqual({ question: expect.any(String), answer: expect.any(String) });
});
