import { afterEach, expect, test, vi } from "vitest";
import { Graph } from "../tensor/graph.ts";
import type { Device } from "./backend.ts";
import { f32 } from "./host-tensor.ts";
import { placeSession } from "./placement.web.ts";

afterEach(() => vi.unstubAllGlobals());

/** A browser with this adapter and a Cache Storage of its own. */
function browser(info: object | null): void {
  const kept = new Map<string, Response>();
  const storage = {
    match: async (key: string) => kept.get(key)?.clone(),
    put: async (key: string, response: Response) => void kept.set(key, response),
  };
  const requestAdapter = async () => info && { info: { vendor: "test", ...info } };
  vi.stubGlobal("navigator", { gpu: { requestAdapter }, userAgent: "a browser" });
  vi.stubGlobal("caches", { open: async () => storage });
}

/** Places a graph whose runs take these milliseconds, runs it, and gives what was opened and told. */
async function place(ms: Partial<Record<Device, number>>, { size = 4, runs = 0 } = {}) {
  const graph = new Graph();
  graph.output("y", graph.input("x", [size]).mul(2));
  const opened: Device[] = [];
  const told: string[] = [];
  const openOn = async (device: Device) => {
    opened.push(device);
    if (ms[device] === undefined) throw new Error(`no ${device}`);
    const run = async () => {
      vi.advanceTimersByTime(ms[device]!);
      return { y: f32([1], [1]) };
    };
    return { device, run, release: async () => undefined };
  };
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  try {
    const session = await placeSession(graph, openOn, (device, reason) => told.push(`${device}: ${reason}`));
    for (let i = 0; i < runs; i++) await session.run({});
    return { opened, told, device: session.device };
  } finally {
    vi.useRealTimers();
  }
}

test.each([
  [null, "there is no WebGPU adapter"],
  [{ isFallbackAdapter: true }, "the only WebGPU adapter is software"],
])("stays on WebAssembly, and says why: %j", async (info, reason) => {
  browser(info);
  expect(await place({ wasm: 9, webgpu: 1 })).toEqual({ opened: ["wasm"], told: [`wasm: ${reason}`], device: "wasm" });
});

test("measures a network once, and opens it on the faster device from then on", async () => {
  browser({});
  const first = await place({ wasm: 400, webgpu: 200 }, { runs: 3 });
  expect(first).toMatchObject({ opened: ["wasm", "webgpu"], device: "webgpu" });
  const verdict = "webgpu: measured: a run took 200 ms on WebGPU, 400 ms on WebAssembly";
  expect(first.told).toEqual(["wasm: is being measured against WebGPU", verdict]);
  expect(await place({ wasm: 400, webgpu: 200 })).toEqual({ opened: ["webgpu"], told: [verdict], device: "webgpu" });
  expect((await place({ wasm: 400, webgpu: 200 }, { size: 5 })).opened).toEqual(["wasm"]); // another network
});

test("a network that WebGPU does not open runs on WebAssembly, now and next time", async () => {
  browser({});
  const first = await place({ wasm: 400 }, { runs: 1 });
  expect(first).toMatchObject({ device: "wasm", told: [expect.any(String), "wasm: WebGPU failed: no webgpu"] });
  await place({ wasm: 400, webgpu: 200 }, { runs: 3 });
  const later = await place({ wasm: 400 });
  expect(later).toMatchObject({ device: "wasm", opened: ["webgpu", "wasm"] });
});
