// Which model the page talks to: one switch between this browser and a server. Conversations know nothing of it.

import { computed, effect, signal } from "@preact/signals";
import type { Backend, Facts, LoadProgress, Sampling } from "../backend/backend.ts";
import { ServerBackend } from "../backend/server-backend.ts";
import { WorkerBackend } from "../backend/worker-backend.ts";
import { kept } from "./kept.ts";
import { complain, notice } from "./notices.ts";

export const place = kept<"browser" | "server">("place", "browser");
export const modelSource = kept("model", "kelix-nano/");
/** "auto": WebAssembly, or WebGPU for each network that is measured to be faster there. */
export const device = kept<"auto" | "wasm" | "webgpu">("computesOn", "auto");
export const threads = kept("threads", 1);
export const serverUrl = kept("server", "");
/** Lasts as long as the page: a key is not written down. */
export const serverKey = signal("");
/** What the user has set; what is absent is as the model says. */
export const sampling = kept<Sampling>("sampling", {});

export const facts = signal<Facts | undefined>(undefined);
export const loading = signal<LoadProgress | undefined>(undefined);
/** Whether the model is being opened, or what became of it. */
export const modelState = signal<"none" | "opening" | "ready" | "failed">("none");

/** A server's address: that of the page's folder if none is set. */
export const serverAddress = computed(() => new URL(serverUrl.value || ".", document.baseURI).href);

export const backend = computed<Backend>(() => {
  if (place.value === "server") return new ServerBackend({ url: serverAddress.value, key: serverKey.value });
  const settings = {
    model: modelAddress(modelSource.value),
    device: device.value === "auto" ? undefined : device.value,
    threads: threads.value,
  };
  return new WorkerBackend(settings, (progress) => {
    loading.value = progress.done < progress.total ? progress : undefined;
  });
});

/** owner/name of the Hub as it is, anything else as an address. */
function modelAddress(source: string): string {
  return /^[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(source) ? source : new URL(source, document.baseURI).href;
}

let last: Backend | undefined;
/** What was wrong with the last opening, if anything: it need not be said once a model is opened. */
let fault: string | undefined;

/** Opens the model of the switch, and the next one when it is turned. */
export function followSwitch(): void {
  effect(() => {
    const own = backend.value;
    last?.close();
    last = own;
    void open(own);
  });
}

/** Tries again what failed. */
export function reopen(): void {
  void open(backend.peek());
}

async function open(own: Backend): Promise<void> {
  facts.value = loading.value = undefined;
  modelState.value = "opening";
  if (fault !== undefined && notice.peek() === fault) notice.value = undefined;
  fault = undefined;
  try {
    const found = await own.open();
    if (own !== last) return;
    facts.value = found;
    modelState.value = "ready";
  } catch (error) {
    if (own !== last) return;
    modelState.value = "failed";
    complain(error);
    fault = notice.peek();
  } finally {
    if (own === last) loading.value = undefined;
  }
}
