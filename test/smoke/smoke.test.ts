import { expect, test } from "vitest";
import { runSmoke } from "./run-smoke.ts";

test("load, tokenize, piped chat, imagine and a forgotten dispose work on this Node, with nothing on stderr", async () => {
  const { stdout, stderr } = await runSmoke();
  expect(stderr).toBe("");
  expect(stdout).toContain(process.version);
  expect(stdout).toMatch(/all is well\n$/);
});
