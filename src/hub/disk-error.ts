// What the disk refuses, in words: which file, why, and the way out.

import { FetchError } from "../errors.ts";
import { formatBytes } from "../runtime/format-bytes.ts";

const words: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EIO: "the disk fails",
  EFBIG: "the file system takes no files so large",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long for the file system",
  ENOTDIR: "a file is where a folder should be",
  EEXIST: "something else has its name",
};

export type SystemError = NodeJS.ErrnoException & { readonly code: string };

/** Whether an error is the system's about a file; those of connections are FetchErrors by the time anybody asks. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}

/** "the disk is full (ENOSPC)" */
export function diskReason({ code }: SystemError): string {
  return `${words[code] ?? "the system refuses"} (${code})`;
}

export function isDiskFull({ code }: SystemError): boolean {
  return code === "ENOSPC" || code === "EDQUOT";
}

/** The way out of what a disk refused. */
export function diskWay(error: SystemError): string {
  return isDiskFull(error)
    ? "Make room and fetch again, which goes on from here, or let HF_HOME name a folder elsewhere"
    : "Let HF_HOME name a folder that can be written";
}

/** The system's error as a FetchError about a file in the cache; other errors as they are. */
export function diskError(error: unknown, file: string, folder: string, missingBytes: number): unknown {
  if (!isSystemError(error)) return error;
  const missing = missingBytes > 0 ? `, ${formatBytes(missingBytes)} are still missing` : "";
  return new FetchError(`${file}: cannot be written at ${folder}: ${diskReason(error)}${missing}. ${diskWay(error)}`, {
    cause: error,
  });
}
