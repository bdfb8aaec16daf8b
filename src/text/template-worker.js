// @ts-check
// Renders chat templates in a thread of its own, one at a time, for sandbox.node.ts.
// JavaScript, so that the thread needs no loader when Kelix runs from its sources: loaders of threads may wait for the main
// thread, which waits for this one.

import { parentPort, workerData } from "node:worker_threads";
import { renderTemplate } from "./render-template.js";

/** @type {{ port: import("node:worker_threads").MessagePort, state: Int32Array }} */
const { port, state } = workerData;

/** @param {number} word of the shared memory that grows by one, to wake the thread that waits for it */
function announce(word) {
  Atomics.add(state, word, 1);
  Atomics.notify(state, word);
}

if (parentPort) {
  port.on("message", (job) => {
    port.postMessage(renderTemplate(job));
    announce(1);
  });
  announce(0);
}
