// The memory of another process while it runs. Linux tells apart what is the process's own and pages of mapped files, which the
// system may drop; it keeps the peak of both together only, so the process's own is looked at again and again.

import { readFile } from "node:fs/promises";

const INTERVAL_MS = 50;

export interface MemoryWatch {
  /** Ends watching. The most that was the process's own, in bytes; nothing where the system does not tell. */
  stop(): number | undefined;
}

/** Watches the process `pid` until `stop` is called. */
export function watchMemory(pid: number | undefined): MemoryWatch {
  let peak: number | undefined;
  const look = async () => {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""); // over, or another system
    const match = /^RssAnon:\s+(\d+) kB/m.exec(status);
    if (match) peak = Math.max(peak ?? 0, Number(match[1]) * 1024);
  };
  void look();
  const timer = setInterval(look, INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      return peak;
    },
  };
}
