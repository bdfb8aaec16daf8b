// One part of the rehearsal as a process: gets its request as JSON in its first argument, and sends its result to its parent.

import { type Details, type PartName, type PartRequest, parts } from "./parts.ts";

export interface PartResult {
  readonly seconds: number;
  /** The most that the process had in memory, pages of mapped files included, which the system may drop. */
  readonly peakBytes: number;
  readonly details: Details;
}

// At Ctrl-C the parent ends this process; without a parent it ends by itself.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(1));

const { part, ...request } = JSON.parse(process.argv[2]!) as PartRequest & { readonly part: PartName };
const start = performance.now();
const details = await parts[part](request);
const result: PartResult = {
  seconds: (performance.now() - start) / 1000,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  details,
};
process.send!(result, () => process.exit(0));
