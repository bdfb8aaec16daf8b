import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freeDisk, readMemory } from "./machine.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-machine-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A file system that tells these things. */
async function system(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(root, "system-"));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const meminfo = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n";
const gigabyte = 1_000_000_000;

test("takes the machine's memory where nothing limits it", async () => {
  const state = { totalBytes: 24e6 * 1024, availableBytes: 20e6 * 1024 };
  expect(await readMemory(await system({ "proc/meminfo": meminfo }))).toEqual(state);
  const groups = { "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n" };
  expect(await readMemory(await system({ "proc/meminfo": meminfo, ...groups }))).toEqual(state);
});

test("heeds the limit of a group above the process's own, files of it counted as free", async () => {
  const files = {
    "proc/meminfo": meminfo,
    "proc/self/cgroup": "0::/docker/box\n",
    "sys/fs/cgroup/docker/memory.max": `${8 * gigabyte}\n`,
    "sys/fs/cgroup/docker/memory.current": `${7 * gigabyte}\n`,
    "sys/fs/cgroup/docker/memory.stat": `anon 1\ninactive_file ${3 * gigabyte}\nactive_file ${gigabyte}\n`,
    "sys/fs/cgroup/docker/box/memory.max": "max\n",
  };
  expect(await readMemory(await system(files))).toEqual({ totalBytes: 8 * gigabyte, availableBytes: 5 * gigabyte });
});

test("heeds the first version of control groups too", async () => {
  const files = {
    "proc/meminfo": meminfo,
    "proc/self/cgroup": "7:cpu:/x\n4:hugetlb,memory:/box\n0::/\n",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": `${4 * gigabyte}\n`,
    "sys/fs/cgroup/memory/box/memory.usage_in_bytes": `${3 * gigabyte}\n`,
    "sys/fs/cgroup/memory/box/memory.stat": `total_inactive_file ${gigabyte}\ntotal_active_file 0\n`,
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
  };
  expect(await readMemory(await system(files))).toEqual({ totalBytes: 4 * gigabyte, availableBytes: 2 * gigabyte });
});

test("takes the system's own figures where there is no such file system, and finds room on a disk", async () => {
  const { totalBytes, availableBytes } = await readMemory(join(root, "nothing"));
  expect(availableBytes).toBeGreaterThan(0);
  expect(totalBytes).toBeGreaterThanOrEqual(availableBytes);
  expect(await freeDisk(join(root, "not", "yet", "there"))).toBe(await freeDisk(root));
});
