// The benchmark of kelix-nano at each precision, once: it converts the model twice and draws with all three.

import { expect, test } from "vitest";
import { nanoPrecision } from "../../tools/bench/nano-precision.ts";

test("kelix-nano is timed at each precision", async () => {
  const settings = { session: { threads: 1 }, processes: 1, block: 128, isSmall: true, hasPeer: false } as const;
  const result = await nanoPrecision.report(settings, () => {});
  const positive = { medianS: expect.any(Number), runs: 1 };
  const both = { answer: positive, imagined: positive };
  expect(result).toMatchObject({ ...positive, imagined: positive, int8: both, int4: both });
});
