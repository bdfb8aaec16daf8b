// What the operating system refuses, in words: its own text (`ENOSPC: no space left on device, write`) names neither the file nor
// the way out, and hidden temporary names in it mean nothing to a user.

const reasons: Readonly<Record<string, string>> = {
  EACCES: "you have no permission",
  EBUSY: "it is in use",
  EDQUOT: "your disk quota is used up",
  EEXIST: "a file of that name, or of a folder's on the way, is there",
  EFBIG: "the file system does not hold files that large",
  EIO: "the disk reports an error",
  EISDIR: "it is a folder",
  ELOOP: "its links lead in a circle",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long for the file system",
  ENFILE: "too many files are open",
  ENOENT: "there is no such file or folder",
  ENOSPC: "the disk is full",
  ENOTEMPTY: "the folder is not empty",
  ENOTDIR: "a part of the path is a file, not a folder",
  EPIPE: "nobody reads from it any more",
  EPERM: "the system does not allow it",
  EROFS: "the file system is read-only",
  EXDEV: "it lies on another file system",
};

/** Why a call of the system failed: "the disk is full". */
export function systemReason(error: unknown): string {
  const code = systemCode(error);
  return code === undefined ? "unknown reason" : (reasons[code] ?? code);
}

/** The code of an error that the operating system gave, or that one was the cause of: "ENOSPC". Undefined for every other error. */
export function systemCode(error: unknown): string | undefined {
  // Not by its class: Jest gives files errors of another realm.
  const { code, syscall, cause } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof code === "string" && syscall !== undefined) return code;
  return cause === undefined ? undefined : systemCode(cause);
}
