// The worker of the server's engine, which ends itself at a prompt that says so.

import { parentPort } from "node:worker_threads";
import type { ToWorker } from "../../src/server/engine/messages.ts";

await import("../../src/server/engine/worker.ts");
parentPort!.on("message", (message: ToWorker) => {
  if (message.type === "run" && JSON.stringify(message.request).includes("CRASH")) process.exit(7);
});
