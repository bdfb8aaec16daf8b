// Stored answers for requests that are retried with the same Idempotency-Key: the interface of a store, and a store in memory. The store
// that replicas share is server/queue/redis-answers.ts.

/** A part of an answer. The head comes first. */
export type AnswerPart =
  | { readonly type: "head"; readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | { readonly type: "body"; readonly bytes: Uint8Array };

export interface AnswerWriter {
  write(part: AnswerPart): Promise<void>;
  /** Keeps the complete answer. The engine's events under these ids are no longer needed. */
  keep(workIds: readonly string[]): Promise<void>;
  /** Drops the answer: readers get what was written, and the next request with the key starts anew. */
  forget(): Promise<void>;
}

export type Claim =
  /** There is no answer yet: write it. */
  | { readonly state: "first"; readonly writer: AnswerWriter }
  /**
   * An answer exists or is being written. If the parts end without a head, the answer was dropped: claim again. They throw an AnswerLost
   * if the writer died.
   */
  | { readonly state: "again"; readonly parts: AsyncIterable<AnswerPart> }
  /** The name belongs to a different request. */
  | { readonly state: "other" };

export interface AnswerStore {
  /** `name` identifies a request, and `fingerprint` its content. */
  claim(name: string, fingerprint: string): Promise<Claim>;
}

/** The server that was writing an answer died. */
export class AnswerLost extends Error {
  override readonly name = "AnswerLost";
}

export interface AnswerLimits {
  /** How long an answer is kept. */
  readonly keepMs: number;
  /** Of all stored answers together; the oldest are dropped first. */
  readonly keepBytes: number;
}

export const defaultAnswerLimits: AnswerLimits = { keepMs: 24 * 3600 * 1000, keepBytes: 256 * 2 ** 20 };
/** Counted for each answer besides its bytes, which bounds the number of small ones. */
export const ENTRY_BYTES = 1024;

class Answer {
  readonly fingerprint: string;
  readonly parts: AnswerPart[] = [];
  bytes = ENTRY_BYTES;
  isOver = false;
  /** Set when it is complete. */
  expiresMs = Number.POSITIVE_INFINITY;
  #waiting: (() => void)[] = [];

  constructor(fingerprint: string) {
    this.fingerprint = fingerprint;
  }

  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async *read(): AsyncGenerator<AnswerPart, void, void> {
    for (let at = 0; ; at++) {
      while (at >= this.parts.length) {
        if (this.isOver) return;
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      yield this.parts[at]!;
    }
  }
}

/** A store in memory. */
export class MemoryAnswers implements AnswerStore {
  readonly #limits: AnswerLimits;
  /** Complete answers, oldest first, and those being written. */
  readonly #answers = new Map<string, Answer>();
  #keptBytes = 0;

  constructor(limits: AnswerLimits = defaultAnswerLimits) {
    this.#limits = limits;
  }

  async claim(name: string, fingerprint: string): Promise<Claim> {
    this.#dropOld();
    const known = this.#answers.get(name);
    if (known && known.fingerprint !== fingerprint) return { state: "other" };
    if (known) return { state: "again", parts: known.read() };
    const answer = new Answer(fingerprint);
    this.#answers.set(name, answer);
    return { state: "first", writer: this.#writer(name, answer) };
  }

  #writer(name: string, answer: Answer): AnswerWriter {
    const end = () => {
      answer.isOver = true;
      answer.wake();
    };
    return {
      write: async (part) => {
        answer.parts.push(part);
        if (part.type === "body") answer.bytes += part.bytes.byteLength;
        answer.wake();
      },
      keep: async () => {
        answer.expiresMs = Date.now() + this.#limits.keepMs;
        this.#answers.delete(name);
        this.#answers.set(name, answer); // at the end
        this.#keptBytes += answer.bytes;
        end();
        this.#dropOld();
      },
      forget: async () => {
        this.#answers.delete(name);
        end();
      },
    };
  }

  #dropOld(): void {
    const nowMs = Date.now();
    for (const [name, { isOver, bytes, expiresMs }] of this.#answers) {
      if (!isOver) continue;
      if (expiresMs > nowMs && this.#keptBytes <= this.#limits.keepBytes) return;
      this.#answers.delete(name);
      this.#keptBytes -= bytes;
    }
  }
}
