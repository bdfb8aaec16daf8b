// The detokenizer against the reference's numbers: activations, losses, gradients, sampling, and the DC-AE.

import { describe, expect, test } from "vitest";
import { openGolden, type ParityCase } from "../tools/parity/case.ts";
import { compareAll, formatComparison } from "../tools/parity/compare.ts";
import { dcaeCase } from "../tools/parity/dcae.ts";
import { ditCase } from "../tools/parity/dit.ts";

describe.each<[string, ParityCase]>([
  ["dit", ditCase],
  ["dit_plain", ditCase],
  ["dcae", dcaeCase],
  ["dcae_shuffle", dcaeCase],
])("%s", (name, parity) => {
  test("every tensor is the reference's", async () => {
    const { folder, outputs, close } = await openGolden(`test/golden/${name}`);
    try {
      expect(parity.matches(folder.config)).toBe(true);
      const tolerance = (tensor: string) => parity.tolerance(tensor, folder.config);
      const comparisons = compareAll(await parity.run(folder), outputs, tolerance);
      expect(comparisons).toHaveLength(outputs.size);
      expect(comparisons.filter(({ ok }) => !ok).map(formatComparison)).toEqual([]);
    } finally {
      await close();
    }
  }, 60_000);
});
