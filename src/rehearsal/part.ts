// One part of the rehearsal as a process: gets its request as JSON in its first argument, and sends its result to its parent.

import { readFile } from "node:fs/promises";
import { type Details, type PartName, type PartRequest, parts } from "./parts.ts";

export interface PartResult {
  readonly seconds: number;
  /** The most that the process had in memory, pages of mapped files included, which the system may drop. */
  readonly peakBytes: number;
  /** Of it, at the end, what is no mapped file; only Linux tells. */
  readonly ownBytes?: number;
  readonly details: Details;
}

// At Ctrl-C the parent ends this process; without a parent it ends by itself.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(1));

const { part, ...request } = JSON.parse(process.argv[2]!) as PartRequest & { readonly part: PartName };
const start = performance.now();
const details = await parts[part](request);
const ownBytes = await ownMemory();
const result: PartResult = {
  seconds: (performance.now() - start) / 1000,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  ...(ownBytes !== undefined && { ownBytes }),
  details,
};
process.send!(result, () => process.exit(0));

async function ownMemory(): Promise<number | undefined> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const match = /^RssAnon:\s+(\d+) kB/m.exec(status);
  return match ? Number(match[1]) * 1024 : undefined;
}
