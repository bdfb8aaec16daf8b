// Processes a worker's shards, in this process or in one of its own. A run of the model blocks its thread for seconds, while the worker
// has to renew its lock. And when the system kills a process for its memory, or a library crashes, it is the engine's process, and the
// worker survives to count the failed attempt.

import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Answer, EngineOptions, Order } from "./engine-process.ts";
import { loadShardModel } from "./load-model.ts";
import { runShard, type ShardModel } from "./run-shard.ts";
import { type Shard, ShardError, type ShardReport } from "./shard.ts";

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly onItem?: (done: number, total: number) => void;
}

export interface ShardEngine {
  /** As runShard. Throws a ShardError. */
  run(shard: Shard, options: RunOptions): Promise<ShardReport>;
  close(): Promise<void>;
}

/** Processes shards here, and keeps the model of the last one. */
export function localEngine({ version, load }: EngineOptions): ShardEngine {
  let loaded: { readonly name: string; readonly model: ShardModel } | undefined;
  const drop = async () => {
    await loaded?.model.kelix.dispose();
    loaded = undefined;
  };
  return {
    async run(shard, { signal, onItem }) {
      try {
        if (loaded?.name !== shard.model) {
          await drop();
          loaded = { name: shard.model, model: await loadShardModel(shard.model, load) };
        }
        return await runShard(shard, { model: loaded.model, version, signal, ...(onItem && { onItem }) });
      } catch (error) {
        throw ShardError.of(error);
      }
    },
    close: drop,
  };
}

/** How long an engine may take to finish an image when it is told to stop. */
const STOP_MS = 10_000;

/** Processes shards in a separate process, which is started when needed and restarted after it has ended. */
export function processEngine(options: EngineOptions): ShardEngine {
  let child: ChildProcess | undefined;
  const start = () => {
    const program = fileURLToPath(new URL(`./engine-process${extname(import.meta.url)}`, import.meta.url));
    const started = fork(program, [], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    started.send({ type: "open", options } satisfies Order);
    started.on("error", () => undefined);
    started.on("exit", () => {
      if (child === started) child = undefined;
    });
    return started;
  };
  return {
    run: (shard, { signal, onItem }) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        child ??= start();
        const engine = child;
        let killer: NodeJS.Timeout | undefined;
        const stop = () => {
          if (engine.connected) engine.send({ type: "stop" } satisfies Order);
          killer = setTimeout(() => engine.kill("SIGKILL"), STOP_MS);
        };
        const settle = (finish: () => void) => {
          clearTimeout(killer);
          signal.removeEventListener("abort", stop);
          engine.off("message", hear).off("exit", lose);
          finish();
        };
        const hear = (answer: Answer) => {
          if (answer.type === "item") onItem?.(answer.done, answer.total);
          else if (answer.type === "done") settle(() => resolve(answer.report));
          else settle(() => reject(new ShardError(answer.reason, answer.kind)));
        };
        const lose = (status: number | null, by: string | null) => {
          const how = by ?? `status ${status}`;
          const hint = by === "SIGKILL" ? "; the system kills what takes too much memory" : "";
          settle(() => reject(new ShardError(`the process of the model ended: ${how}${hint}`, "passing")));
        };
        signal.addEventListener("abort", stop, { once: true });
        engine.on("message", hear).on("exit", lose);
        engine.send({ type: "run", shard } satisfies Order);
      }),
    async close() {
      const engine = child;
      if (!engine) return;
      const ended = new Promise((resolve) => engine.once("exit", resolve));
      engine.disconnect();
      const killer = setTimeout(() => engine.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(killer);
    },
  };
}
