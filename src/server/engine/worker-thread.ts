// A worker as seen from the main thread. It is restarted when it dies, with a growing delay if it keeps dying.

import { Worker } from "node:worker_threads";
import type { KelixError } from "../../errors.ts";
import type { EngineRequest, ModelFacts } from "../protocol.ts";
import type { FromWorker, RequestMessage, ToWorker, WorkerSetup } from "./messages.ts";
import { fromWire, type WireError } from "./wire-errors.ts";

/** Delay before a restart: none at first, then doubled up to a maximum. A worker that ran for a while starts over at none. */
const [FIRST_WAIT_MS, MOST_WAIT_MS, WELL_MS] = [250, 30_000, 60_000];
/** How long a thread may take to release its model before it is terminated. */
const CLOSE_MS = 5_000;

export interface WorkerEvents {
  onReady(facts: ModelFacts): void;
  /** The model cannot be loaded. */
  onFailed(error: KelixError, detail: string | undefined): void;
  onMessage(message: RequestMessage): void;
  /** The thread ended unexpectedly; the next one starts in `waitMs`. */
  onDied(why: string, waitMs: number): void;
  onWarning(message: string): void;
}

export class WorkerThread {
  readonly #file: URL;
  readonly #setup: WorkerSetup;
  readonly #events: WorkerEvents;
  #worker: Worker | undefined;
  #isReady = false;
  #isClosing = false;
  #deaths = 0;
  #restart: NodeJS.Timeout | undefined;

  constructor(setup: WorkerSetup, events: WorkerEvents, file: URL = workerFile()) {
    this.#setup = setup;
    this.#events = events;
    this.#file = file;
    this.#start();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  post(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  /** Sends a request with copies of its images. */
  run(id: number, request: EngineRequest, key: string): void {
    const { own, buffers } = ownBytes(request);
    this.#worker?.postMessage({ type: "run", id, request: own, key } satisfies ToWorker, buffers);
  }

  /** Ends the thread, which has a few seconds to release its model. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    if (!worker) return;
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    if (this.#isReady) {
      this.post({ type: "close" });
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref());
      await Promise.race([ended, timeout]);
    }
    await worker.terminate();
    await ended;
  }

  #start(): void {
    const startedMs = performance.now();
    let why = "";
    const worker = startThread(this.#file, this.#setup);
    this.#worker = worker;
    worker.on("message", (message: FromWorker) => this.#receive(message));
    worker.on("error", (error: Error & { readonly code?: string }) => {
      why = error.code === "ERR_WORKER_OUT_OF_MEMORY" ? "it ran out of memory" : (error.stack ?? String(error));
    });
    worker.once("exit", (code) => {
      const wasReady = this.#isReady;
      this.#isReady = false;
      this.#worker = undefined;
      if (this.#isClosing) return;
      if (wasReady && performance.now() - startedMs > WELL_MS) this.#deaths = 0;
      const waitMs = this.#deaths === 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (this.#deaths - 1), MOST_WAIT_MS);
      this.#deaths++;
      this.#restart = setTimeout(() => this.#start(), waitMs);
      this.#events.onDied(why || `it ended with status ${code}`, waitMs);
    });
  }

  #receive(message: FromWorker): void {
    if (message.type === "messages") for (const one of message.messages) this.#events.onMessage(one);
    else if (message.type === "warning") this.#events.onWarning(message.message);
    else if (message.type === "ready") {
      this.#isReady = true;
      this.#events.onReady(message.facts);
    } else this.#fail(message.error);
  }

  #fail(error: WireError): void {
    this.#events.onFailed(fromWire(error), error.detail);
  }
}

/**
 * Copies a request's files into their own buffers, which can be transferred. A view of a body would take the whole body along
 * into the other thread.
 */
function ownBytes(request: EngineRequest): { readonly own: EngineRequest; readonly buffers: ArrayBuffer[] } {
  const buffers: ArrayBuffer[] = [];
  const copy = <T>(value: T): T => {
    if (!(value instanceof Uint8Array)) return value;
    const bytes = Uint8Array.from(value); // not `slice`, which returns a view for a Buffer
    buffers.push(bytes.buffer);
    return bytes as T & Uint8Array;
  };
  if (request.kind === "chat") {
    const messages = request.messages.map(({ role, content }) => {
      if (typeof content === "string") return { role, content };
      return {
        role,
        content: content.map((part) => (part.type === "image" ? { ...part, image: copy(part.image) } : part)),
      };
    });
    return { own: { ...request, messages }, buffers };
  }
  if (request.kind === "edit")
    return { own: { ...request, image: copy(request.image), mask: copy(request.mask) }, buffers };
  if (request.kind === "tokenize") return { own: { ...request, image: copy(request.image) }, buffers };
  if (request.kind === "embed") return { own: { ...request, image: copy(request.image) }, buffers };
  return { own: request, buffers };
}

/** Starts a thread that runs a module of this package. */
function startThread(file: URL, workerData: WorkerSetup): Worker {
  if (!file.pathname.endsWith(".ts")) return new Worker(file, { workerData, execArgv: [] });
  // When tests run from the sources, the thread needs tsx, which a flag does not load in threads.
  const program = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(file)})))`;
  return new Worker(program, { eval: true, workerData, execArgv: ["--conditions=kelix-source"] });
}

function workerFile(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);
}
