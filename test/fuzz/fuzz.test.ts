// Every parser over valid files with a few edits, and over the inputs of the corpus: docs/fuzzing.md. The seed is fixed, so that a run
// says the same twice; KELIX_FUZZ_SEED and KELIX_FUZZ_RUNS ask for others.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Edit, editKinds, mutate } from "./mutate.ts";
import { probe, type Target } from "./target.ts";
import { targets } from "./targets.ts";

const seed = Number(process.env.KELIX_FUZZ_SEED ?? 1);
/** Of a target that works in memory; those that open files get a fifth. */
const runs = Number(process.env.KELIX_FUZZ_RUNS ?? 150);

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom(...editKinds),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.oneof(fc.nat(16), fc.nat(600)),
  value: fc.nat(65_535),
});
const input = fc.record({
  seed: fc.nat(15),
  edits: fc.array(edit, { minLength: 1, maxLength: 5 }),
  isRepaired: fc.boolean(),
});

describe.each(targets.map((target) => [target.name, target] as const))("%s", (name, target: Target) => {
  test("accepts its seeds, and the inputs of the corpus end well", async () => {
    const results: string[] = [];
    for (const bytes of await target.seeds()) results.push(await probe(target, bytes));
    expect(results, "seeds that are accepted").toContain("accepted");
    for (const bytes of await readCorpus(name)) await probe(target, bytes);
  });

  test("ends edited files with a result or a sentence", async () => {
    const seeds = await target.seeds();
    const property = fc.asyncProperty(input, async ({ seed: which, edits, isRepaired }) => {
      const changed = mutate(seeds[which % seeds.length]!, edits, seeds);
      await probe(target, isRepaired && target.repair ? target.repair(changed) : changed);
    });
    await fc.assert(property, { numRuns: target.kind === "memory" ? runs : Math.ceil(runs / 5), seed });
  });
});

async function readCorpus(name: string): Promise<Uint8Array[]> {
  const folder = join("test/fuzz/corpus", name);
  const names = await readdir(folder).catch(() => []);
  return Promise.all(names.map((file) => readFile(join(folder, file))));
}
