// Names that stand for something this process holds open already: standard input and output, and what a shell's <(..) and >(..)
// hand over. They are used as they are: opening them anew fails for sockets and forgets where a file was left off.

import { resolve } from "node:path";

const standard: Readonly<Record<string, number>> = { stdin: 0, stdout: 1, stderr: 2 };

/** The descriptor that a path such as /dev/stdin, /dev/fd/63 or /proc/self/fd/3 stands for. */
export function descriptorOf(path: string): number | undefined {
  if (process.platform === "win32") return undefined;
  const [, name, number] =
    /^\/(?:dev\/(std\w+)|(?:dev|proc\/(?:self|thread-self))\/fd\/(\d{1,9}))$/.exec(resolve(path)) ?? [];
  return number === undefined ? standard[name ?? ""] : Number(number);
}
