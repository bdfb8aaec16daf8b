// A thread that ends the process when one input takes too long, or the process too much memory: what runs cannot end itself.

import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";

const { started, maxMs, maxBytes } = workerData;
setInterval(() => {
  const ms = Date.now() - Number(Atomics.load(started, 0));
  const bytes = process.memoryUsage.rss();
  if (ms < maxMs && bytes < maxBytes) return;
  const fault = ms < maxMs ? `the process takes ${Math.round(bytes / 1e6)} MB` : `an input takes more than ${maxMs} ms`;
  writeSync(2, `${fault}\n`);
  process.kill(process.pid, "SIGKILL");
}, 50);
