#!/usr/bin/env node
// The command line as a process: its arguments, signals, streams and exit status. Results on stdout, everything else on stderr.

import { FAILED, run } from "./command-line.ts";
import { interrupted, outlivesReader, printFault } from "./terminal.ts";

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => interrupted.abort());
// If stderr fails, messages are lost, but the command can still do its work.
process.stderr.on("error", () => undefined);
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader may close the pipe early, as `head` does.
  if (error.code === "EPIPE" && outlivesReader()) return;
  if (error.code === "EPIPE") process.exit(0);
  printFault(
    `the results cannot be printed: ${error.code === "ENOSPC" ? "the disk is full" : (error.code ?? error.name)}`,
  );
  process.exit(FAILED);
});

process.exitCode = await run(process.argv.slice(2));
