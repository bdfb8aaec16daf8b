// The machine that a plan is for: memory and disk space available to this process.

import { readFile, statfs } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { excerpt, InputError } from "../errors.ts";

export interface MemoryState {
  /** The most the process could ever have. */
  readonly totalBytes: number;
  /** Available now: free memory, and cached files that the system can drop. */
  readonly availableBytes: number;
}

/** Cores that this process may use. */
export function coreCount(): number {
  return availableParallelism();
}

/**
 * The memory of the machine, or of this process's control groups if they allow less. `root` is the root of the file system with
 * Linux's /proc and /sys; elsewhere the system's own figures are used.
 */
export async function readMemory(root = "/"): Promise<MemoryState> {
  const read = (path: string) => readFile(join(root, path), "utf8").catch(() => undefined);
  const meminfo = await read("proc/meminfo");
  const kilobytes = (name: string) => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo ?? "");
    return match ? Number(match[1]) * 1024 : undefined;
  };
  const states: MemoryState[] = [
    {
      totalBytes: kilobytes("MemTotal") ?? totalmem(),
      availableBytes: kilobytes("MemAvailable") ?? freemem(),
    },
  ];
  for (const group of controlGroups((await read("proc/self/cgroup")) ?? "")) {
    const [limit, used, statistics] = await Promise.all(
      [group.limit, group.used, group.statistics].map((file) => read(join(group.folder, file))),
    );
    const limitBytes = Number(limit);
    if (limit === undefined || !Number.isFinite(limitBytes)) continue; // "max", or no such group
    const droppable = [...(statistics ?? "").matchAll(group.files)].reduce((sum, match) => sum + Number(match[1]), 0);
    const availableBytes = limitBytes - Math.max(0, Number(used ?? 0) - droppable);
    states.push({ totalBytes: limitBytes, availableBytes: Math.max(0, availableBytes) });
  }
  return {
    totalBytes: Math.min(...states.map(({ totalBytes }) => totalBytes)),
    availableBytes: Math.min(...states.map(({ availableBytes }) => availableBytes)),
  };
}

interface ControlGroup {
  readonly folder: string;
  readonly limit: string;
  readonly used: string;
  readonly statistics: string;
  /** The statistics of droppable file pages. */
  readonly files: RegExp;
}

/** The groups of /proc/self/cgroup that may limit memory, each with its parents, in both versions of the interface. */
function controlGroups(text: string): ControlGroup[] {
  return text.split("\n").flatMap((line): ControlGroup[] => {
    const [id, controllers, path] = line.split(":");
    if (path === undefined) return [];
    if (id === "0") {
      const files = /^(?:in)?active_file (\d+)$/gm;
      const names = { limit: "memory.max", used: "memory.current", statistics: "memory.stat", files };
      return withParents(path).map((own) => ({ ...names, folder: join("sys/fs/cgroup", own) }));
    }
    if (!controllers?.split(",").includes("memory")) return [];
    const names = {
      limit: "memory.limit_in_bytes",
      used: "memory.usage_in_bytes",
      statistics: "memory.stat",
      files: /^total_(?:in)?active_file (\d+)$/gm,
    };
    return withParents(path).map((own) => ({ ...names, folder: join("sys/fs/cgroup/memory", own) }));
  });
}

function withParents(path: string): string[] {
  const paths = [path];
  for (let at = path; at !== "/" && at !== "."; at = dirname(at)) paths.push(dirname(at));
  return paths;
}

/** Bytes that this user can still write at `path`, which need not exist. */
export async function freeDisk(path: string): Promise<number> {
  for (let at = path; ; at = dirname(at)) {
    const info = await statfs(at).catch(() => undefined);
    if (info) return info.bavail * info.bsize;
    if (at === dirname(at)) throw new InputError(`${excerpt(path)}: there is no such disk`);
  }
}
