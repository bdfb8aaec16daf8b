// Runs chat templates in a separate thread, with a deadline and a memory limit: an endless loop, or text that doubles
// until memory is full, ends with an error instead of killing the process. The caller waits, for a fraction of a millisecond.

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { TemplateSandbox } from "./chat-template.ts";
import type { TemplateJob, TemplateResult } from "./render-template.js";

const DEADLINE_MS = 2_000;
/** Where the process got too little processor time to use up its deadline, it waits longer: a busy machine starves good templates too. */
const MOST_WAITS = 12;
const WAIT_MS = 500;
/** Deadline for starting the thread, which takes some 40 ms on an idle machine. */
const START_MS = 30_000;
const MEMORY_MB = 256;

/** Runs templates in a thread. */
export const threadSandbox: TemplateSandbox = {
  warm: () => {
    sandbox ??= start();
  },
  render,
  limits: `${DEADLINE_MS / 1000} s and ${MEMORY_MB} MB`,
};

interface Sandbox {
  readonly worker: Worker;
  readonly port: MessagePort;
  /** How often the thread has started and finished a job. */
  readonly state: Int32Array;
}

let sandbox: Sandbox | undefined;

function render(job: TemplateJob): TemplateResult | undefined {
  sandbox ??= start();
  const { worker, port, state } = sandbox;
  const isReady = Atomics.wait(state, 0, 0, START_MS) !== "timed-out";
  const before = Atomics.load(state, 1);
  if (isReady) {
    port.postMessage(job);
    const began = process.cpuUsage();
    let usedMs = 0;
    let idleWaits = 0; // a thread that ran out of memory has ended, and will not say so while this one waits
    for (let i = 1; i <= MOST_WAITS && Atomics.wait(state, 1, before, WAIT_MS) === "timed-out"; i++) {
      const { user, system } = process.cpuUsage(began);
      const ms = (user + system) / 1000;
      idleWaits = ms - usedMs < 1 ? idleWaits + 1 : 0;
      usedMs = ms;
      const isOver = i * WAIT_MS >= DEADLINE_MS && usedMs > 0.9 * DEADLINE_MS;
      if (isOver || idleWaits > 1) break;
    }
    const answer = receiveMessageOnPort(port) as { message: TemplateResult } | undefined;
    if (answer) return answer.message;
  }
  sandbox = undefined;
  void worker.terminate();
  port.close();
  return undefined;
}

function start(): Sandbox {
  const { port1, port2 } = new MessageChannel();
  const state = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("./template-worker.js", import.meta.url), {
    workerData: { port: port2, state },
    transferList: [port2],
    // Flags of the process may not suit a thread.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB, maxYoungGenerationSizeMb: 32 },
    stdin: false,
    stdout: true,
    stderr: true,
  });
  // Neither keeps the process alive; a thread that runs out of memory ends with its own error.
  worker.unref();
  port1.unref();
  worker.on("error", () => undefined);
  return { worker, port: port1, state };
}
