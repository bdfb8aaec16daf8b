// The events of one request on their way from the worker to whoever reads them. At most a window of them waits here.

import type { EngineEvent } from "../protocol.ts";
import { WINDOW } from "./messages.ts";

export interface EventStreamOptions {
  /** The reader has taken so many events since it was last told. */
  readonly onTaken: (count: number) => void;
  /** Events have waited for so long that the reader must be gone. */
  readonly stalledMs: number;
  readonly onStalled: () => void;
}

export class EventStream {
  readonly #options: EventStreamOptions;
  #events: EngineEvent[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #taken = 0;
  #stalled: NodeJS.Timeout | undefined;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  push(event: EngineEvent): void {
    if (this.#failure) return;
    this.#events.push(event);
    if (this.#wake) this.#wake();
    else this.#watch();
  }

  /** Ends the stream with an error: after what has come, or at once. */
  fail(error: unknown, when: "after" | "at once"): void {
    if (this.#failure) return;
    this.#failure = { error };
    if (when === "at once") this.#events = [];
    this.#settle();
    this.#wake?.();
  }

  /** The next event; texts that wait are joined. Throws what the stream failed with. */
  async next(): Promise<EngineEvent> {
    this.#settle();
    while (this.#events.length === 0) {
      if (this.#failure) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    let event = this.#events.shift()!;
    let count = 1;
    for (let other = this.#events[0]; other?.type === "text" && event.type === "text"; other = this.#events[0]) {
      event = joined(event, other);
      this.#events.shift();
      count++;
    }
    if (this.#events.length > 0) this.#watch();
    this.#taken += count;
    if (this.#taken >= WINDOW / 2) {
      this.#options.onTaken(this.#taken);
      this.#taken = 0;
    }
    return event;
  }

  #watch(): void {
    this.#stalled ??= setTimeout(this.#options.onStalled, this.#options.stalledMs).unref();
  }

  #settle(): void {
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
  }
}

type TextEvent = EngineEvent & { readonly type: "text" };

function joined(a: TextEvent, b: TextEvent): TextEvent {
  const logprobs = a.logprobs || b.logprobs ? [...(a.logprobs ?? []), ...(b.logprobs ?? [])] : undefined;
  return { type: "text", text: a.text + b.text, ...(logprobs && { logprobs }) };
}
