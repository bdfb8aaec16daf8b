// Where the time of a run goes: reads the traces that ONNX Runtime writes of every node and adds them up, by operation
// and by operation with its shapes. The traces are deleted afterwards.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ProfileRow {
  /** The operation, or the operation and the shapes of its operands. */
  readonly what: string;
  readonly nodesPerRun: number;
  readonly msPerRun: number;
  /** Of the time of all nodes. */
  readonly share: number;
}

export interface Profile {
  readonly byOperation: readonly ProfileRow[];
  readonly byShape: readonly ProfileRow[];
  readonly msPerRun: number;
}

/** One line of a trace; only what is read here. */
interface TraceEvent {
  readonly cat?: string;
  readonly name?: string;
  /** Microseconds. */
  readonly dur?: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/** Calls `work` with the prefix for SessionOptions.profile; when it is done, its sessions must be released. */
export async function profile(runs: number, work: (prefix: string) => Promise<void>): Promise<Profile> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-profile-"));
  try {
    await work(join(folder, "trace"));
    let events: TraceEvent[] = [];
    for (const file of await readdir(folder))
      events = events.concat(JSON.parse(await readFile(join(folder, file), "utf8")) as TraceEvent[]);
    return summarizeTrace(events, runs);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Adds up the nodes' own times over `runs` runs, the costliest first. */
export function summarizeTrace(events: readonly TraceEvent[], runs: number): Profile {
  const kernels = events.filter(({ cat, name }) => cat === "Node" && name?.endsWith("_kernel_time"));
  const total = kernels.reduce((sum, { dur = 0 }) => sum + dur, 0);
  const group = (key: (event: TraceEvent) => string): ProfileRow[] => {
    const sums = new Map<string, { count: number; time: number }>();
    for (const event of kernels) {
      const what = key(event);
      const before = sums.get(what) ?? { count: 0, time: 0 };
      sums.set(what, { count: before.count + 1, time: before.time + (event.dur ?? 0) });
    }
    const rows = [...sums].map(([what, { count, time }]) => ({
      what,
      nodesPerRun: count / runs,
      msPerRun: time / runs / 1000,
      share: time / total,
    }));
    return rows.sort((a, b) => b.msPerRun - a.msPerRun);
  };
  const operation = ({ args }: TraceEvent) => args?.op_name ?? "unknown";
  const shapes = ({ args }: TraceEvent) =>
    (args?.input_type_shape ?? []).map((input) => `[${Object.values(input)[0]}]`).join(" ");
  return {
    byOperation: group(operation),
    byShape: group((event) => `${operation(event)} ${shapes(event)}`),
    msPerRun: total / runs / 1000,
  };
}

/** Lines of text: all operations, then the costliest operations with their shapes. */
export function formatProfile({ byOperation, byShape, msPerRun }: Profile, shapes = 25): string {
  const row = ({ what, nodesPerRun, msPerRun: ms, share }: ProfileRow) =>
    `${(100 * share).toFixed(1).padStart(6)} %  ${ms.toFixed(2).padStart(9)} ms  ${nodesPerRun.toFixed(0).padStart(5)}  ${what}`;
  const head = `${" share".padStart(8)}  ${"per run".padStart(12)}  ${"nodes".padStart(5)}`;
  return [
    `${msPerRun.toFixed(1)} ms per run inside ONNX Runtime's nodes`,
    head,
    ...byOperation.map(row),
    "",
    head,
    ...byShape.slice(0, shapes).map(row),
  ].join("\n");
}
