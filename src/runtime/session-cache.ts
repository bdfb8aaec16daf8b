// Sessions that stay open between uses as long as they fit into a limit of memory together. Which of a large model's parts are in
// memory at one time follows from the limit alone: the one at work, and of the others those that fit beside it.

import { disposedError } from "../errors.ts";
import type { Sizes } from "../tensor/dims.ts";
import type { Graph } from "../tensor/graph.ts";
import type { HostTensor } from "./host-tensor.ts";
import { openSession, type RunMemory, type Session, type SessionOptions, type Values } from "./session.ts";
import { planSession } from "./session-memory.ts";
import { Turns } from "./turns.ts";
import type { WeightSource } from "./weight-source.ts";

/** A graph with its weights, to be opened when it is needed. */
export interface SessionPart {
  /** Tells it from other parts with the same weights. */
  readonly key: string;
  readonly weights: WeightSource;
  readonly trace: () => Graph;
  /** The largest sizes of its dynamic dimensions. */
  readonly sizes?: Sizes;
  /** `kept` if absent. `returned` is for what runs once or twice an image. */
  readonly runMemory?: RunMemory;
}

interface Entry {
  readonly key: string;
  readonly weights: WeightSource;
  readonly session: Session;
  readonly bytes: number;
}

export class SessionCache {
  readonly limitBytes: number;
  readonly #options: SessionOptions;
  /** The longest unused first. */
  #entries: Entry[] = [];
  readonly #turns = new Turns();
  #isClosed = false;

  constructor(limitBytes: number, options: SessionOptions = {}) {
    this.limitBytes = limitBytes;
    this.#options = options;
  }

  /**
   * Runs a part, one run at a time. If it has to be opened, the longest unused others are closed first until it fits; `isExtra`
   * leaves them open, for a short work in the middle of another. A part that does not fit alone is opened alone, and its narrow
   * weights are then widened at each run instead of all at once. Throws after `close`.
   */
  run(part: SessionPart, feeds: Values, { isExtra = false } = {}): Promise<Record<string, HostTensor>> {
    return this.#turns.take(async () => {
      if (this.#isClosed) throw disposedError();
      return (await this.#open(part, isExtra)).run(feeds);
    });
  }

  /** Closes all, after the runs that were asked for before. */
  close(): Promise<void> {
    return this.#turns.take(() => {
      this.#isClosed = true;
      return this.#makeRoom(Number.POSITIVE_INFINITY);
    });
  }

  /** Bytes of the sessions that are open. */
  get openBytes(): number {
    return this.#entries.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  async #open({ key, weights, trace, sizes, runMemory = "kept" }: SessionPart, isExtra: boolean): Promise<Session> {
    const at = this.#entries.findIndex((entry) => entry.key === key && entry.weights === weights);
    if (at >= 0) {
      const [entry] = this.#entries.splice(at, 1);
      this.#entries.push(entry!);
      return entry!.session;
    }
    const graph = trace();
    const { widening, mostBytes, heldBytes: bytes } = planSession(graph, weights, this.limitBytes, sizes);
    if (!isExtra) await this.#makeRoom(mostBytes);
    const session = await openSession(graph, weights, { ...this.#options, network: key, widening, runMemory });
    this.#entries.push({ key, weights, session, bytes });
    return session;
  }

  async #makeRoom(bytes: number): Promise<void> {
    while (this.#entries.length > 0 && this.openBytes + bytes > this.limitBytes) {
      await this.#entries.shift()!.session.release();
    }
  }
}
