// The smoke test on this Node, on the oldest one that is promised, and on each later line.

import { expect, test } from "vitest";
import { findNode, runSmoke } from "../smoke/run-smoke.ts";

test("the smoke test passes on this Node", async () => {
  const { stdout, stderr } = await runSmoke();
  expect(stderr).toBe("");
  expect(stdout).toContain(process.version);
  expect(stdout).toMatch(/all is well\n$/);
});

test.each(["20.19.0", "22", "24", "26"])("the smoke test passes on Node %s", async (version) => {
  const node = await findNode(version);
  if (node === undefined) return;
  const { stdout, stderr } = await runSmoke(node);
  expect(stdout).toContain(`Node v${version}`);
  expect(stderr).toBe("");
});
