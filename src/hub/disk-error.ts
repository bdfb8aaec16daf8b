// Disk errors in the cache: which file, why, and the way out.

import { FetchError, KelixError } from "../errors.ts";
import { systemCode, systemReason } from "../files/system-error.ts";
import { formatBytes } from "./format-bytes.ts";

/** Whether an error is the system's, about a file. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return !(error instanceof KelixError) && systemCode(error) !== undefined;
}

/** "the disk is full (ENOSPC)" */
export function diskReason(error: NodeJS.ErrnoException): string {
  return `${systemReason(error)} (${systemCode(error)})`;
}

export function isDiskFull(error: NodeJS.ErrnoException): boolean {
  return /^(ENOSPC|EDQUOT)$/.test(systemCode(error) ?? "");
}

/** The way out of a disk error. */
export function diskWay(error: NodeJS.ErrnoException): string {
  return isDiskFull(error)
    ? "Make room and fetch again, which resumes here, or set HF_HOME to another folder"
    : "Set HF_HOME to a writable folder";
}

/** Converts a system error to a FetchError about a file in the cache; other errors are unchanged. */
export function diskError(error: unknown, file: string, folder: string, missingBytes: number): unknown {
  if (!isSystemError(error)) return error;
  const missing = missingBytes > 0 ? `, ${formatBytes(missingBytes)} are still missing` : "";
  return new FetchError(
    `${file} could not be written at ${folder}: ${diskReason(error)}${missing}. ${diskWay(error)}`,
    {
      cause: error,
    },
  );
}
