// @ts-check
// Renders chat templates in a thread of its own, one at a time, for sandbox.node.ts.
// JavaScript, so that the thread needs no loader when Kelix runs from its sources: loaders of threads may wait for the main
// thread, which waits for this one.

import { parentPort, workerData } from "node:worker_threads";
import { renderTemplate } from "./render-template.js";

/** Characters that one call may make. Where a single allocation goes beyond a thread's limit, Node ends the whole process. */
const MAX_MADE = 32_000_000;

/** @param {number} length */
function check(length) {
  if (length > MAX_MADE) throw new RangeError(`a text of ${length} characters`);
}

// Nobody else uses the built-in functions of this thread.
const { repeat, replaceAll } = String.prototype;
const { join } = Array.prototype;
String.prototype.repeat = function (count) {
  check(this.length * count);
  return repeat.call(this, count);
};
Array.prototype.join = function (separator = ",") {
  check(this.reduce((sum, item) => sum + (typeof item === "string" ? item.length : 0) + separator.length, 0));
  return join.call(this, separator);
};
/** @param {string | RegExp} pattern @param {any} by */
String.prototype.replaceAll = function (pattern, by) {
  let length = this.length;
  /** @param {any[]} found */
  const counted = (...found) => {
    const text = by(...found);
    length += text.length;
    check(length);
    return text;
  };
  return replaceAll.call(this, pattern, typeof by === "function" ? counted : by);
};

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
