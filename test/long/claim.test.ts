// The whole path of two arms at toy lengths, on images that need no download.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { folderFiles } from "../../src/files/folder.node.ts";
import { TextTokenizer } from "../../src/text/tokenizer.ts";
import { RowWriter } from "../../src/train/data/rows.ts";
import { POSITIONS } from "../../tools/claim/models.ts";
import { type Protocol, quick, suiteNames } from "../../tools/claim/protocol.ts";
import { openTest, readRecords } from "../../tools/claim/results.ts";
import { type RunSettings, runArm } from "../../tools/claim/run.ts";
import { source } from "../../tools/claim/test-source.ts";

const protocol: Protocol = {
  ...quick,
  steps: { warmUp: 2, branch: 2, reader: 2 },
  batch: 2,
  kmeansImages: 8,
  items: { test: 2, validation: 2 },
  seeds: { C: 1, "8": 1 },
};

let folder: string;
let writer: RowWriter;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "claim-"));
  writer = new RowWriter(await TextTokenizer.load(folderFiles("data/claim/vocabulary")), POSITIONS);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function settings(log: (line: string) => void = () => {}): RunSettings {
  return {
    protocol,
    folder: join(folder, "runs"),
    results: join(folder, "results"),
    rate: 1e-3,
    threads: 1,
    signal: new AbortController().signal,
    log,
    context: (seed) => ({ source, writer, seed, batch: protocol.batch }),
  };
}

describe("runArm", () => {
  it("trains, scores and seals the continuous arm and one of codes from the same warm-up", async () => {
    const records = [await runArm("C", 1, settings()), await runArm("8", 1, settings())];
    expect(records[0]!.warmUp).toBe(records[1]!.warmUp);
    expect(records[0]!.books).toBeUndefined();
    expect(records[1]!.books!.perplexity).toBeGreaterThan(1);
    const opened = openTest(protocol, await readRecords(join(folder, "results")));
    for (const { test } of opened) {
      for (const suite of suiteNames) {
        expect(test[suite].shares).toHaveLength(2);
        for (const share of test[suite].shares) expect(share >= 0 && share <= 1).toBe(true);
      }
    }
    // A finished arm is not trained again.
    const lines: string[] = [];
    await runArm(
      "8",
      1,
      settings((line) => lines.push(line)),
    );
    expect(lines).toEqual([]);
    expect(await readdir(join(folder, "results"))).toHaveLength(2);
  }, 600_000);
});
