// Who may import whom: docs/architecture.md says it in words.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "src", "tools"], { encoding: "utf8" })
  .split("\n")
  .filter((path) => path.endsWith(".ts"));
const imports: Import[] = sources.flatMap((from) =>
  [...readFileSync(from, "utf8").matchAll(/\b(?:from|import\()\s*"([.#][^"]+)"/g)].map(([, to]) => ({
    from,
    to: to!.startsWith("#") ? to! : join(dirname(from), to!),
  })),
);
const isTest = (path: string) => path.endsWith(".test.ts");
const shown = (found: readonly Import[]) => found.map(({ from, to }) => `${from} imports ${to}`);

test("finds the imports of the sources", () => {
  expect(imports).toContainEqual({ from: "src/index.web.ts", to: "src/kelix.ts" });
  expect(imports).toContainEqual({ from: "tools/parity/main.ts", to: "src/quantize/safetensors-file.ts" });
});

test("src/ imports nothing outside itself, so what ships needs no tool", () => {
  const outside = imports.filter(({ from, to }) => from.startsWith("src/") && !/^(src\/|#)/.test(to));
  expect(shown(outside.filter(({ from }) => !isTest(from)))).toEqual([]);
  expect(shown(outside.filter(({ to }) => to.startsWith("tools/")))).toEqual([]);
});

test("no part of a model knows of training, evaluation or the command line", () => {
  const above = /^src\/(train|eval|jobs|cli|check)\//;
  const faults = imports.filter(({ from, to }) => from.startsWith("src/") && above.test(to) && !above.test(from));
  expect(shown(faults.filter(({ from }) => !isTest(from)))).toEqual([]);
});

test("the command line uses the public API and the folders of its commands, and nothing below", () => {
  // `corpus` is the data of the commands `train` and `jobs`.
  const allowed = /^src\/((index|version)\.ts$|(cli|train|eval|hub|quantize|plan|check|server|jobs|corpus|attack)\/)/;
  const faults = imports.filter(({ from, to }) => from.startsWith("src/cli/") && !allowed.test(to));
  expect(shown(faults)).toEqual([]);
});

test("what runs a model imports downwards where that has been settled", () => {
  const settled: readonly (readonly [from: RegExp, to: RegExp])[] = [
    [/^src\/files\//, /^src\/(hub|output|image|model|chat)\//],
    [/^src\/image\//, /^src\/(vision|text|llm|detokenizer|model|chat|output)\//],
    [/^src\/(vision|text|sequence)\//, /^src\/(llm|detokenizer|model|chat|output)\//],
    [/^src\/(llm|detokenizer|nn|tensor|onnx|runtime)\//, /^src\/(model|chat|hub|output)\//],
    [/^src\/model\//, /^src\/(chat|output)\//],
    [/^src\/chat\//, /^src\/(hub|output)\//],
    [/^src\/kelix\.ts$/, /^src\/(hub|output|plan|quantize)\//],
    [/^src\/ai-sdk\//, /^src\/server\//],
  ];
  const faults = imports.filter(
    ({ from, to }) => !isTest(from) && settled.some(([above, below]) => above.test(from) && below.test(to)),
  );
  expect(shown(faults)).toEqual([]);
});
