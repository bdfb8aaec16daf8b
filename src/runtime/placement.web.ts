// Where a network runs in a browser when nobody says: on WebAssembly, or on WebGPU where an adapter exists and a measurement says
// that it is faster there. The verdict is kept for the next visit.

import type { Graph } from "../tensor/graph.ts";
import type { Place, PlaceSession } from "./backend.ts";
import { ContestedSession, type Outcome } from "./contested-session.ts";

export const placeSession: PlaceSession = async (graph, openOn, tell) => {
  const usual = async (reason: string) => {
    tell("wasm", reason);
    return openOn("wasm");
  };
  const adapter = await findAdapter();
  if ("reason" in adapter) return usual(adapter.reason);
  const verdicts = await openVerdicts(graph, adapter.name);
  const known = await verdicts?.get();
  if (known?.device === "wasm") return usual(known.reason);
  if (known) {
    const session = await openOn("webgpu").catch(() => undefined);
    if (!session) return usual("WebGPU, which was faster, does not open it any more");
    tell(known.device, known.reason);
    return session;
  }
  const settle = (outcome: Outcome) => {
    const place = placeOf(outcome);
    tell(place.device, place.reason);
    // What failed may succeed another time, such as files that could not be fetched.
    if (!("error" in outcome)) void verdicts?.put(place);
  };
  return new ContestedSession(await usual("is being measured against WebGPU"), () => openOn("webgpu"), settle);
};

function placeOf(outcome: Outcome): Place {
  if ("error" in outcome) {
    const { error } = outcome;
    return { device: "wasm", reason: `WebGPU failed: ${error instanceof Error ? error.message : String(error)}` };
  }
  const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
  const reason = `measured: a run took ${ms(outcome.rivalMs)} on WebGPU, ${ms(outcome.usualMs)} on WebAssembly`;
  return { device: outcome.isRivalFaster ? "webgpu" : "wasm", reason };
}

async function findAdapter(): Promise<{ readonly name: string } | { readonly reason: string }> {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return { reason: "there is no WebGPU adapter" };
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  if (isFallbackAdapter) return { reason: "the only WebGPU adapter is software" };
  return { name: [vendor, architecture, device, description, navigator.userAgent].join() };
}

/** One verdict in Cache Storage, by the operations and sizes of the graph and by what computes. Undefined where a page has none. */
async function openVerdicts(graph: Graph, adapter: string) {
  const storage = await globalThis.caches?.open("kelix-placements").catch(() => undefined);
  if (!storage) return undefined;
  const shapes = [...graph.inputs.values(), ...graph.parameters.values()].map(({ shape }) => shape);
  const text = JSON.stringify([adapter, graph.nodes.map(({ op }) => op), shapes]);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const key = `/kelix-placements/${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  return {
    get: async () => (await (await storage.match(key))?.json()) as Place | undefined,
    put: (place: Place) => storage.put(key, Response.json(place)).catch(() => undefined),
  };
}
