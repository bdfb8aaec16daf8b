// Work in a process of its own: measurements of one process do not disturb those of another, and each meets another state of the
// machine.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** Runs a script of this folder with a job as JSON and returns what it sends; throws when it ends without having sent anything. */
export function inProcess<T>(script: string, job: unknown): Promise<T> {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const args = ["--conditions=kelix-source", "--import", loader, script, JSON.stringify(job)];
  return new Promise((resolve, reject) => {
    let result: { readonly value: T } | undefined;
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    child.on("message", (message) => {
      result = { value: message as T };
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (result) resolve(result.value);
      else reject(new Error(`a process of ${script} ended with ${signal ?? code} before it was done`));
    });
  });
}
