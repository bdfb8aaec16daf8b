// The built command line in a process that stays: test/run-cli.ts sends it one command after another. Each has its own arguments,
// environment, folder and standard input, and prints to the real streams. Modules and libraries are loaded once.

import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../dist/cli/command-line.js";
import "./one-thread.mjs";

/** The library sets it when it is loaded. No command may unset it again: the engine is loaded later. */
const { ORT_DISABLE_TELEMETRY = "" } = process.env;

/** How long what a command began may go on after it. A process of its own would not end before. */
const END_MS = 5000;
const POLL_MS = 5;

const streams = [process.stdout, process.stderr];
/** What keeps this process alive between commands: its two streams and its connection to the tests. */
const AT_REST = 3;

async function comesToRest() {
  for (let waitedMs = 0; waitedMs < END_MS; waitedMs += POLL_MS) {
    if (process.getActiveResourcesInfo().length <= AT_REST) return true;
    await sleep(POLL_MS);
  }
  return false;
}

process.on("message", async ({ args, env, cwd, input, mark }) => {
  process.chdir(cwd);
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env, { ORT_DISABLE_TELEMETRY });
  Object.defineProperty(process, "stdin", { value: Readable.from([input]), configurable: true });
  const status = await run(args);
  const goesOn = (await comesToRest()) ? "" : process.getActiveResourcesInfo().join();
  for (const stream of streams) stream.write(mark);
  process.send({ status, goesOn });
});

// Whatever a command left behind.
process.on("disconnect", () => process.exit());
