// For tests: a proxy between a client and a server on this machine, that can be cut as networks are.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface TcpProxy {
  readonly port: number;
  /** Breaks every connection, and refuses new ones for a while. */
  cut(forMs: number): Promise<void>;
  /** Lets nothing through for a while, but keeps connections open: nobody is told. */
  silence(forMs: number): Promise<void>;
  close(): Promise<void>;
}

export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  let isSilent = false;
  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const target = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => undefined);
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
      if (isSilent) from.pause();
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async cut(forMs) {
      isCut = true;
      for (const socket of sockets) socket.resetAndDestroy();
      await sleep(forMs);
      isCut = false;
    },
    async silence(forMs) {
      isSilent = true;
      for (const socket of sockets) socket.pause();
      await sleep(forMs);
      isSilent = false;
      for (const socket of sockets) socket.resume();
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
