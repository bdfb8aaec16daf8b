// Server-sent events, written by hand for speed: pieces that are ready together leave as one chunk, a slow reader pauses the work, and
// one that stops reading is dropped.

export interface EventStreamOptions {
  readonly unsentBytes: number;
  readonly stallMs: number;
  /** Ends the work: the reader left or was dropped. */
  readonly leave: (reason: Error) => void;
  /** Called once, when nothing more will be written for any reason. */
  readonly onEnd: () => void;
}

/** One event with JSON data. */
export function event(data: unknown, name?: string): string {
  return `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
}

export const DONE = "data: [DONE]\n\n";

/** A response body made of the pieces. The iterable must not throw. */
export function eventStream(pieces: AsyncIterable<string>, options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { unsentBytes, stallMs, leave, onEnd } = options;
  const encoder = new TextEncoder();
  let hasLeft = false;
  let wake: (() => void) | undefined;

  /** Waits until the reader has read something. */
  const room = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        hasLeft = true;
        leave(new Error(`The reader took nothing for ${stallMs / 1000} seconds`));
        wake?.();
      }, stallMs);
      wake = () => {
        clearTimeout(timer);
        wake = undefined;
        resolve();
      };
    });

  const pump = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    let waiting = "";
    let timer: NodeJS.Immediate | undefined;
    const flush = () => {
      if (timer) clearImmediate(timer);
      timer = undefined;
      if (waiting !== "" && !hasLeft) controller.enqueue(encoder.encode(waiting));
      waiting = "";
    };
    try {
      for await (const piece of pieces) {
        waiting += piece;
        timer ??= setImmediate(flush);
        if (waiting.length >= (controller.desiredSize ?? 0)) {
          flush();
          if (!hasLeft && (controller.desiredSize ?? 0) <= 0) await room();
        }
        if (hasLeft) return;
      }
      flush();
    } finally {
      if (timer) clearImmediate(timer);
      if (!hasLeft) controller.close();
      onEnd();
    }
  };

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        void pump(controller);
      },
      pull() {
        wake?.();
      },
      cancel() {
        hasLeft = true;
        leave(new Error("The client has gone"));
        wake?.();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: unsentBytes }),
  );
}
