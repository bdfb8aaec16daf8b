// For tests: a Redis of their own on a free port, from the system's package `redis-server`. A test that cannot start one fails.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** kill -9, and the same server again with what its append-only file has; `meanwhile` runs in between. */
  killAndRestart(meanwhile?: () => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

/** With `aof` every write is on the disk before it is answered. */
export async function startRedis({ aof = false } = {}): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-redis-"));
  const port = await freePort();
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--loglevel", "warning"];
  if (aof) args.push("--appendonly", "yes", "--appendfsync", "always");
  let server = await start(args);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    async killAndRestart(meanwhile) {
      await kill(server);
      await meanwhile?.();
      server = await start(args);
    },
    async close() {
      await kill(server);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function start(args: readonly string[]): Promise<ChildProcess> {
  const server = spawn("redis-server", [...args, "--daemonize", "no"], { stdio: ["ignore", "pipe", "inherit"] });
  const failed = once(server, "error").then(([error]) => {
    throw new Error("redis-server cannot be started; install it: apt-get install redis-server", { cause: error });
  });
  const port = Number(args[1]);
  const ready = (async () => {
    for (let i = 0; i < 200; i++) {
      if (await answers(port)) return;
      if (server.exitCode !== null) throw new Error(`redis-server ended with status ${server.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("redis-server does not answer");
  })();
  await Promise.race([ready, failed]);
  failed.catch(() => undefined);
  return server;
}

/** Whether PING is answered: while Redis loads its file it answers something else. */
async function answers(port: number): Promise<boolean> {
  const { connect } = await import("node:net");
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.on("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString().startsWith("+PONG"));
    });
    socket.on("error", () => resolve(false));
  });
}

async function kill(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
