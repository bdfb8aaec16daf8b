// Runs the built program: commands share a process that stays, or have one of their own where they need it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

export interface RunResult {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
  readonly bytes: Buffer;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
}

export interface OwnProcess extends RunOptions {
  /** A shell's line in which "$@" stands for the program and its arguments. */
  readonly shell?: string;
  /** In place of the build of this checkout. */
  readonly program?: string;
}

/** Runs a command in a process of its own: for signals, descriptors, shells, and what a start costs and loads. */
export function spawnCli(args: readonly string[], options: OwnProcess = {}): Promise<RunResult> {
  const { cwd, input = "", shell } = options;
  const command = [process.execPath, options.program ?? program, ...args];
  const [file, ...rest] = shell === undefined ? command : ["bash", "-c", shell, "bash", ...command];
  const child = spawn(file!, rest, { cwd, env: environment(options) });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (piece) => out.push(piece));
  child.stderr.on("data", (piece) => err.push(piece));
  child.stdin.on("error", () => undefined); // not every command reads
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve(result(status, Buffer.concat(out), Buffer.concat(err))));
  });
}

/**
 * Runs a command in the process that stays, which spares it the loading of the library. Commands wait for each other.
 * Throws when what the command began goes on after it, or when it ends the process.
 */
export function runCli(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const turn = lastTurn.then(() => runInHost(args, options));
  lastTurn = turn.catch(() => undefined);
  return turn;
}

interface Host {
  readonly child: ChildProcess;
  /** Rejects when the process ends. */
  readonly ended: Promise<never>;
}

let lastTurn: Promise<unknown> = Promise.resolve();
let host: Host | undefined;

function startHost(): Host {
  const file = fileURLToPath(new URL("cli-host.mjs", import.meta.url));
  const child = spawn(process.execPath, [file], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced",
  });
  const ended = new Promise<never>((_, reject) => {
    child.on("exit", (status, signal) => {
      host = undefined;
      reject(new Error(`the process that runs commands ended: ${signal ?? status}`));
    });
  });
  ended.catch(() => undefined);
  return { child, ended };
}

async function runInHost(args: readonly string[], options: RunOptions): Promise<RunResult> {
  host ??= startHost();
  const { child, ended } = host;
  const mark = Buffer.from(`\n${crypto.randomUUID()}\n`);
  const { cwd = process.cwd(), input = "" } = options;
  const printed = Promise.all([readUpTo(mark, child.stdout!), readUpTo(mark, child.stderr!)]);
  const answered = once(child, "message") as Promise<[{ status: number; goesOn: string }]>;
  child.send({ args, env: environment(options), cwd, input: Buffer.from(input), mark });
  const [{ status, goesOn }] = await Promise.race([answered, ended]);
  const [out, err] = await printed;
  if (goesOn !== "") throw new Error(`kelix ${args.join(" ")} does not end: ${goesOn}`);
  return result(status, out, err);
}

/** What a stream brings before the mark. */
function readUpTo(mark: Buffer, stream: Readable): Promise<Buffer> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const take = (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      if (!bytes.subarray(-mark.length).equals(mark)) return;
      stream.off("data", take);
      resolve(bytes.subarray(0, -mark.length));
    };
    stream.on("data", take);
  });
}

function environment({ env }: RunOptions): NodeJS.ProcessEnv {
  return { ...process.env, KELIX_MODEL: "kelix-nano", ...env };
}

function result(status: number | null, out: Buffer, err: Buffer): RunResult {
  return { status, out: out.toString(), err: err.toString(), bytes: out };
}
