// Which process wrote something down, so that a later reader can tell whether it still runs. A process number means something
// within one boot of one kernel and one PID namespace alone, and is given out again, so all of these and the start time belong to it.
// Linux only: elsewhere nothing is known, and the reader has to go by other signs of life.

import { readFileSync, readlinkSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** The numbers' space: boot, PID namespace, and time namespace, by whose clock the start is told. */
  readonly space: string;
  /** Clock ticks between the boot and the start. */
  readonly start: string;
}

let own: ProcessIdentity | undefined;

/** This process; undefined where the system does not tell. */
export function identifyProcess(): ProcessIdentity | undefined {
  own ??= readIdentity();
  return own;
}

function readIdentity(): ProcessIdentity | undefined {
  try {
    const stat = readStat("self");
    // The /proc of another namespace, as in some containers, has other numbers.
    if (stat.pid !== process.pid) return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const space = [boot, readlinkSync("/proc/self/ns/pid"), readlinkSync("/proc/self/ns/time")].join(" ");
    return { pid: process.pid, space, start: stat.start };
  } catch {
    return undefined;
  }
}

/** "running" or "dead" where that is certain, else "unknown". */
export function probeProcess({ pid, space, start }: ProcessIdentity): "running" | "dead" | "unknown" {
  if (identifyProcess()?.space !== space || !Number.isSafeInteger(pid) || pid < 1) return "unknown";
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH" ? "dead" : "unknown";
  }
  try {
    const stat = readStat(String(pid));
    if (stat.start !== start) return "dead";
    // A zombie has ended, but nothing tells whether its last write has.
    return stat.state === "Z" || stat.state === "X" ? "unknown" : "running";
  } catch {
    return "unknown";
  }
}

function readStat(name: string): { pid: number; state: string; start: string } {
  const text = readFileSync(`/proc/${name}/stat`, "utf8");
  // The program's name, in parentheses, may hold blanks and parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { pid: Number.parseInt(text, 10), state: fields[0] ?? "", start: fields[19] ?? "" };
}
