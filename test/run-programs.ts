// Runs programs that import the package by its name, as users' programs do. They share a process: loading the library would take
// longer than most of them.

import { execFile } from "node:child_process";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

const oneThread = new URL("one-thread.mjs", import.meta.url).href;

export interface Program {
  readonly file: string;
  readonly args?: readonly string[];
}

/** Runs them one after another and returns what each prints. Throws when one fails, or when something is said on stderr. */
export async function runPrograms(programs: readonly Program[], cwd: string): Promise<string[]> {
  const mark = `\n${crypto.randomUUID()}\n`;
  const steps = programs.map(
    ({ file, args = [] }) => `
      process.argv = [process.execPath, ...${JSON.stringify([file, ...args])}];
      await import(${JSON.stringify(pathToFileURL(file))});
      process.stdout.write(${JSON.stringify(mark)});`,
  );
  const args = ["--import", "tsx", "--import", oneThread, "--input-type=module", "-e", steps.join("")];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd });
  const printed = stdout.split(mark);
  if (stderr !== "" || printed.length !== programs.length + 1) throw new Error(`${stdout}\n${stderr}`);
  return printed.slice(0, -1);
}
