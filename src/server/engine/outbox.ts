// A worker's way out. What is sent in one turn of the event loop goes in one message: eight conversations that share a step cost the
// main thread one wake-up. A request may have so many events under way; then it waits, so that a slow reader stops the writing.

import type { MessagePort, Transferable } from "node:worker_threads";
import type { EngineEvent } from "../protocol.ts";
import { type FromWorker, type RequestMessage, WINDOW } from "./messages.ts";

export class Outbox {
  readonly #port: Pick<MessagePort, "postMessage">;
  #messages: RequestMessage[] = [];
  #moved: Transferable[] = [];

  constructor(port: Pick<MessagePort, "postMessage">) {
    this.#port = port;
  }

  /** `moved` are buffers of the message that this thread gives away. */
  post(message: RequestMessage, moved: readonly Transferable[] = []): void {
    if (this.#messages.length === 0) setImmediate(() => this.flush());
    this.#messages.push(message);
    this.#moved.push(...moved);
  }

  flush(): void {
    if (this.#messages.length === 0) return;
    const message: FromWorker = { type: "messages", messages: this.#messages };
    const moved = this.#moved;
    this.#messages = [];
    this.#moved = [];
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
    this.#outbox.post({ id: this.#id, event }, buffersOf(event));
  }
}

/** Buffers that nobody else has a view of. */
function buffersOf(event: EngineEvent): ArrayBuffer[] {
  if (event.type !== "image" && event.type !== "preview") return [];
  const { buffer, byteLength } = event.png;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
