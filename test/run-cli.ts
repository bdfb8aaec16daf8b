// Runs the built program in a process of its own.

import { spawn } from "node:child_process";
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
  /** A shell's line in which "$@" stands for the program and its arguments. */
  readonly shell?: string;
  /** In place of the build of this checkout. */
  readonly program?: string;
}

export function runCli(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { env = {}, cwd, input = "", shell } = options;
  const command = [process.execPath, options.program ?? program, ...args];
  const [file, ...rest] = shell === undefined ? command : ["bash", "-c", shell, "bash", ...command];
  const child = spawn(file!, rest, { cwd, env: { ...process.env, KELIX_MODEL: "kelix-nano", ...env } });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (piece) => out.push(piece));
  child.stderr.on("data", (piece) => err.push(piece));
  child.stdin.on("error", () => undefined); // not every command reads
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      const bytes = Buffer.concat(out);
      resolve({ status, out: bytes.toString(), err: Buffer.concat(err).toString(), bytes });
    });
  });
}
