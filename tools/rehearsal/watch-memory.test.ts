import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { watchMemory } from "./watch-memory.ts";

const isLinux = existsSync("/proc/self/status");

test.runIf(isLinux)("sees the most that a process had of its own, although it has less at the end", async () => {
  const program = `
    let bytes = Buffer.alloc(200e6, 1);
    setTimeout(() => { bytes = undefined; gc(); setTimeout(() => {}, 200); }, 500);
  `;
  const child = spawn(process.execPath, ["--expose-gc", "-e", program]);
  const watch = watchMemory(child.pid);
  await once(child, "exit");
  expect(watch.stop()).toBeGreaterThan(200e6);
});

test("knows nothing of a process that is not there", async () => {
  const watch = watchMemory(undefined);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(watch.stop()).toBeUndefined();
});
