import { afterEach, expect, test, vi } from "vitest";
import { loadBackend, threadCount } from "./backend.web.ts";

afterEach(() => vi.unstubAllGlobals());

test("several threads need an isolated page, and files that are not bundled or a number", () => {
  vi.stubGlobal("navigator", { hardwareConcurrency: 16 });
  const wasmPaths = { mjs: "/ort.mjs", wasm: "/ort.wasm" };
  expect(threadCount({ threads: 2, wasmPaths })).toBe(1);
  vi.stubGlobal("crossOriginIsolated", true);
  expect(threadCount({})).toBe(1);
  expect(threadCount({ wasmPaths })).toBe(4);
  expect(threadCount({ threads: 2, wasmPaths })).toBe(2);
});

test("WebGPU without an adapter is refused in a sentence", async () => {
  vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => null } });
  await expect(loadBackend("webgpu")).rejects.toThrow(
    /has no WebGPU adapter, or the page is not secure.*available: wasm/,
  );
});
