// What is asked of each engine whose decoding is measured. Tokens are numbers below the vocabulary; answers are greedy.

export interface DecodingEngine {
  /** Reads tokens into an empty context, no scores wanted. */
  read(tokens: readonly number[]): Promise<void>;
  /** Reads tokens into an empty context and answers: yields after each new token, `count` times. */
  answer(tokens: readonly number[], count: number): AsyncIterable<unknown>;
  release(): Promise<void>;
}

/** The work that is timed; each engine does it with the settings that suit it best. */
export const tasks = ["decode", "prefill", "question"] as const;
export type Task = (typeof tasks)[number];

/** Tokens of each task. */
export interface TaskSize {
  /** Tokens read first. */
  readonly read: number;
  /** Tokens written after them. */
  readonly written: number;
}

export interface TimedTask {
  readonly task: Task;
  readonly size: TaskSize;
  readonly vocabulary: number;
  readonly runs: number;
}

/** Steps that are not timed, when a context has just been read. */
export const WARM_UP_STEPS = 4;

/**
 * Seconds of each timed piece: of every token (decode), of every reading (prefill), or of every reading with its answer
 * (question), of which the first is not timed.
 */
export async function timeTask(engine: DecodingEngine, { task, size, vocabulary, runs }: TimedTask): Promise<number[]> {
  const seconds: number[] = [];
  // Other tokens each time, so that nothing can be remembered from the run before.
  const tokens = (run: number) =>
    Array.from({ length: size.read }, (_, t) => (run * 7919 + t * 31 + 7) % (vocabulary - 8));
  if (task === "decode") {
    let start = 0;
    let step = 0;
    for await (const _ of engine.answer(tokens(0), WARM_UP_STEPS + size.written)) {
      const now = performance.now();
      if (step++ >= WARM_UP_STEPS) seconds.push((now - start) / 1000);
      start = performance.now();
    }
    return seconds;
  }
  for (let run = 0; run <= runs; run++) {
    const start = performance.now();
    if (task === "prefill") await engine.read(tokens(run));
    else for await (const _ of engine.answer(tokens(run), size.written));
    if (run > 0) seconds.push((performance.now() - start) / 1000);
  }
  return seconds;
}
