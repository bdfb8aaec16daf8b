// Lets everything else have its turn: timers, input, other callers. Awaits alone do not, if nothing that they wait for takes time.

/** Resolves in the next turn of the event loop, after whatever was due. */
export function turnEventLoop(): Promise<void> {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  // In browsers a message is a turn too, without the 4 ms that a timer takes.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
