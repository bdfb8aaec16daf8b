// Answers kept for clients that ask again with the same Idempotency-Key: who writes one, who reads it, and a store in this process. The
// store that replicas share is server/queue/redis-answers.ts.

/** A piece of an answer. The head comes first. */
export type AnswerPart =
  | { readonly type: "head"; readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | { readonly type: "body"; readonly bytes: Uint8Array };

export interface AnswerWriter {
  write(part: AnswerPart): Promise<void>;
  /** The answer is whole and is kept. What the engine has under these ids is not needed any more. */
  keep(workIds: readonly string[]): Promise<void>;
  /** The answer is not kept: whoever reads it gets what was written, and the next request with its key is a first one. */
  forget(): Promise<void>;
}

export type Claim =
  /** Nobody has answered this yet: write it. */
  | { readonly state: "first"; readonly writer: AnswerWriter }
  /**
   * Somebody has answered this, or is about to. The parts end without a head where no answer came of it: then claim again. They throw an
   * AnswerLost where its writer died in the middle.
   */
  | { readonly state: "again"; readonly parts: AsyncIterable<AnswerPart> }
  /** The name stands for another request. */
  | { readonly state: "other" };

export interface AnswerStore {
  /** `name` stands for one request, whose content has the fingerprint. */
  claim(name: string, fingerprint: string): Promise<Claim>;
}

/** The server that wrote an answer has died. */
export class AnswerLost extends Error {
  override readonly name = "AnswerLost";
}

export interface AnswerLimits {
  /** How long an answer is kept. */
  readonly keepMs: number;
  /** Of all kept answers together; the oldest give way. */
  readonly keepBytes: number;
}

export const defaultAnswerLimits: AnswerLimits = { keepMs: 24 * 3600 * 1000, keepBytes: 256 * 2 ** 20 };
/** What an answer takes beside its bytes, at least; bounds the number of empty ones. */
export const ENTRY_BYTES = 1024;

class Answer {
  readonly fingerprint: string;
  readonly parts: AnswerPart[] = [];
  bytes = ENTRY_BYTES;
  isOver = false;
  /** Set once it is kept. */
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

/** For one process. */
export class MemoryAnswers implements AnswerStore {
  readonly #limits: AnswerLimits;
  /** Kept ones in the order in which they were finished, and those that are being written. */
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
