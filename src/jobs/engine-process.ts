// The process that runs a worker's model. It takes orders from the worker, and ends with it.

import type { LoadOptions } from "../options.ts";
import { localEngine, type ShardEngine } from "./engine.ts";
import { type FailureKind, parseShard, type Shard, ShardError, type ShardReport } from "./shard.ts";

export interface EngineOptions {
  /** Of Kelix. */
  readonly version: string;
  /** For every model: settings of the machine, not of a model. */
  readonly load: Pick<LoadOptions, "device" | "threads" | "ignoreMemory">;
}

export type Order =
  | { readonly type: "open"; readonly options: EngineOptions }
  | { readonly type: "run"; readonly shard: Shard }
  | { readonly type: "stop" };

export type Answer =
  | { readonly type: "item"; readonly done: number; readonly total: number }
  | { readonly type: "done"; readonly report: ShardReport }
  | { readonly type: "failed"; readonly reason: string; readonly kind: FailureKind };

/** The shortest time between two reports of progress. */
const TELL_MS = 500;

function serve(): void {
  let engine: ShardEngine | undefined;
  let running = new AbortController();
  const answer = (message: Answer) => process.send?.(message);

  async function run(shard: Shard): Promise<void> {
    running = new AbortController();
    let toldMs = 0;
    const onItem = (done: number, total: number) => {
      if (done < total && performance.now() - toldMs < TELL_MS) return;
      toldMs = performance.now();
      answer({ type: "item", done, total });
    };
    try {
      const report = await engine!.run(parseShard(shard), { signal: running.signal, onItem });
      answer({ type: "done", report });
    } catch (error) {
      const { message, kind } = ShardError.of(error);
      answer({ type: "failed", reason: message, kind });
    }
  }

  process.on("message", (order: Order) => {
    if (order.type === "open") engine = localEngine(order.options);
    else if (order.type === "run") void run(order.shard);
    else running.abort(new Error("stopped"));
  });
  // Ctrl-C reaches the whole process group, but the worker decides when to stop.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  process.on("disconnect", () => process.exit());
}

if (process.send) serve();
