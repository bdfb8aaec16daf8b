// For tests of memory, loaded by --require: at SIGUSR2 every thread collects its garbage, so that what is left is what is held.

const { setFlagsFromString } = require("node:v8");
const { runInNewContext } = require("node:vm");
const { BroadcastChannel, isMainThread } = require("node:worker_threads");

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const channel = new BroadcastChannel("collect garbage");
channel.onmessage = () => collect();
channel.unref();
if (isMainThread) {
  process.on("SIGUSR2", () => {
    collect();
    channel.postMessage(null);
  });
}
