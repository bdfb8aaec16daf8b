// A worker's way out. What is sent in one turn of the event loop leaves in one message: eight conversations that share a step wake the main
// thread once. Texts wait a moment for those of the next steps, which nobody sees who reads them. A request may have so many events under
// way; then it waits, so that a slow reader stops the writing.

import type { MessagePort, Transferable } from "node:worker_threads";
import type { EngineEvent } from "../protocol.ts";
import { epochMs, type FromWorker, type RequestMessage, WINDOW } from "./messages.ts";

/**
 * Messages that hold nothing but texts leave so long after the one before at the earliest. Half a frame of a screen; a small model writes
 * several tokens in it, each of which would cost a message, a piece of HTTP and a wake-up of two threads.
 */
const TEXT_MS = 8;

interface PostOptions {
  /** Buffers of the message that this thread gives away. */
  readonly moved?: readonly Transferable[];
  readonly mayWait?: boolean;
}

export class Outbox {
  readonly #port: Pick<MessagePort, "postMessage">;
  #messages: RequestMessage[] = [];
  #moved: Transferable[] = [];
  #flushedMs = Number.NEGATIVE_INFINITY;
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;

  constructor(port: Pick<MessagePort, "postMessage">) {
    this.#port = port;
  }

  post(message: RequestMessage, { moved = [], mayWait = false }: PostOptions = {}): void {
    this.#messages.push(message);
    this.#moved.push(...moved);
    if (this.#soon) return;
    const waitMs = mayWait ? this.#flushedMs + TEXT_MS - performance.now() : 0;
    if (waitMs > 0) this.#later ??= setTimeout(() => this.flush(), waitMs);
    else this.#soon = setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#soon);
    clearTimeout(this.#later);
    this.#soon = undefined;
    this.#later = undefined;
    if (this.#messages.length === 0) return;
    const message: FromWorker = { type: "messages", messages: this.#messages };
    const moved = this.#moved;
    this.#messages = [];
    this.#moved = [];
    this.#flushedMs = performance.now();
    this.#port.postMessage(message, moved);
  }
}

/** The events of one request. */
export class Channel {
  readonly #id: number;
  readonly #outbox: Outbox;
  readonly #signal: AbortSignal;
  #credit = WINDOW;
  #wake: (() => void) | undefined;
  #hasBegun = false;

  constructor(id: number, outbox: Outbox, signal: AbortSignal) {
    this.#id = id;
    this.#outbox = outbox;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  /** Sends an event when the reader has room for it. Throws the reason of an abort. */
  async send(event: EngineEvent): Promise<void> {
    while (this.#credit === 0 && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#signal.throwIfAborted();
    this.#post(event);
  }

  /** Sends an event unless the reader is behind by half a window. */
  offer(event: EngineEvent): void {
    if (this.#credit > WINDOW / 2 && !this.#signal.aborted) this.#post(event);
  }

  grant(count: number): void {
    this.#credit += count;
    this.#wake?.();
  }

  #post(event: EngineEvent): void {
    this.#credit--;
    const mayWait = event.type === "text" && this.#hasBegun; // the first is waited for
    this.#hasBegun = true;
    this.#outbox.post({ id: this.#id, event, atMs: epochMs() }, { moved: buffersOf(event), mayWait });
  }
}

/** Buffers that nobody else has a view of. */
function buffersOf(event: EngineEvent): ArrayBuffer[] {
  if (event.type !== "image" && event.type !== "preview") return [];
  const { buffer, byteLength } = event.png;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
