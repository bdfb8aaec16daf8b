// For tests: `kelix worker` in processes of their own, each on one core, which are started again when they end.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { program } from "./run-cli.ts";

/** One thread in each library that has threads, so that a core is all that a worker uses. */
export const ONE_THREAD = { VIPS_CONCURRENCY: "1", OMP_NUM_THREADS: "1" };

export interface WorkerProcesses {
  /** What ended workers and running ones said. */
  readonly lines: readonly string[];
  /** Processes that have a model's process, and so have begun to work. */
  busy(): readonly ChildProcess[];
  /** Resolves when all have ended by themselves, as with --until-empty. */
  ended(): Promise<void>;
  /** kill -9 of all. */
  close(): Promise<void>;
}

export interface WorkerProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Starts a new worker for each that ends. */
  readonly restart?: boolean;
  /** Told each line as it comes, and which worker said it. */
  readonly onLine?: (line: string, worker: number) => void;
}

export function startWorkers(
  count: number,
  args: readonly string[],
  { env = {}, restart = false, onLine }: WorkerProcessOptions = {},
): WorkerProcesses {
  const lines: string[] = [];
  const running = new Set<ChildProcess>();
  let isOpen = true;
  const start = (core: number) => {
    // A group of its own, so that worker and model can be killed together, as when a machine dies.
    const child = spawn("taskset", ["-c", `${core}`, process.execPath, program, "worker", "--threads", "1", ...args], {
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...ONE_THREAD, ...env },
    });
    running.add(child);
    createInterface(child.stderr!).on("line", (line) => {
      lines.push(line);
      onLine?.(line, core);
    });
    child.on("close", () => {
      running.delete(child);
      if (isOpen && restart) start(core);
    });
  };
  for (let i = 0; i < count; i++) start(i % availableParallelism());
  return {
    lines,
    busy: () => [...running].filter((child) => hasChild(child.pid!)),
    async ended() {
      await Promise.all([...running].map((child) => once(child, "close")));
    },
    async close() {
      isOpen = false;
      const ending = [...running].map((child) => once(child, "close"));
      for (const child of running) killGroup(child);
      await Promise.all(ending);
    },
  };
}

/** kill -9 of a worker and its model. */
export function killGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function hasChild(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim() !== "";
  } catch {
    return false;
  }
}
