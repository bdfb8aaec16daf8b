// For long tests: s3s-fs, a server that speaks S3, checks signatures, and shows an object once it is whole. It is built from crates.io
// with `cargo install` when a test first needs it, and kept in $KELIX_TEST_RUNTIMES or the system's temporary folder.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../redis-server.ts";

/** The last version that Rust 1.92 to 1.95 build. */
const VERSION = "0.14.1";

export interface S3sServer {
  readonly port: number;
  /** What a client needs in its environment; the endpoint's port may be that of a proxy. */
  env(port?: number): Record<string, string>;
  close(): Promise<void>;
}

const root = join(process.env.KELIX_TEST_RUNTIMES || join(tmpdir(), "kelix-runtimes"), `s3s-fs-${VERSION}`);
const program = join(root, "bin/s3s-fs");

/** Whether the program is there, or can be built; says so where it cannot. */
export function mayHaveS3s(): boolean {
  const may = existsSync(program) || spawnSync("cargo", ["--version"]).status === 0;
  if (!may) console.warn("cargo is missing, so nothing was tried with S3");
  return may;
}

/** Builds the program unless it is there: several minutes of a core. */
export async function installS3s(): Promise<void> {
  if (existsSync(program)) return;
  const args = ["install", `s3s-fs@${VERSION}`, "--locked", "--features", "binary", "--root", root];
  const [status] = await once(spawn("cargo", args, { stdio: "inherit" }), "close");
  if (status !== 0) throw new Error(`cargo ${args.join(" ")} failed`);
}

export async function startS3s(...buckets: readonly string[]): Promise<S3sServer> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-s3s-"));
  for (const bucket of buckets) await mkdir(join(folder, bucket));
  const port = await freePort();
  const args = ["--host", "127.0.0.1", "--port", `${port}`, "--access-key", "KELIXTEST", "--secret-key", "SECRET"];
  const server: ChildProcess = spawn(program, [...args, folder], { stdio: ["ignore", "ignore", "inherit"] });
  while (!(await isOpen(port))) {
    if (server.exitCode !== null) throw new Error(`s3s-fs ended with status ${server.exitCode}`);
    await sleep(50);
  }
  return {
    port,
    env: (at = port) => ({
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${at}`,
      AWS_ACCESS_KEY_ID: "KELIXTEST",
      AWS_SECRET_ACCESS_KEY: "SECRET",
      AWS_REGION: "us-east-1",
      AWS_CONFIG_FILE: "/nonexistent",
      AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    }),
    async close() {
      const ended = once(server, "exit");
      server.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    }).on("error", () => resolve(false));
  });
}
