// Creates a folder atomically: everything is written into a temporary folder beside it, which is then renamed.
// Leftovers are always removed: by the process itself if it fails, by a helper process if it is killed, and if both
// die at once by the next call in the same place.

import { spawn } from "node:child_process";
import { lstat, mkdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { InputError, KelixError, ModelError, quote } from "../errors.ts";
import { OpenFile } from "../files/open-file.ts";
import { systemCode, systemReason } from "../files/system-error.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { heartbeat, removeStale, temporaryName } from "../output/stale.ts";

/**
 * Creates the new folder `path`; `write` fills the folder that it is given. Throws an InputError if `path` exists, before or after
 * the work, or if the system refuses to write. If anything fails nothing is left.
 */
export async function createFolder<T>(path: string, write: (folder: string) => Promise<T>): Promise<T> {
  await refuseExisting(path);
  const parent = dirname(resolve(path));
  let made: string | undefined;
  let partial: string | undefined;
  let stop = () => {};
  try {
    made = await makeFolder(parent);
    await removeStale(parent);
    partial = join(parent, temporaryName("partial"));
    const [stopHelper, stopHeartbeat] = [removeIfKilled(partial), heartbeat(partial)];
    stop = () => {
      stopHelper();
      stopHeartbeat();
    };
    await mkdir(partial);
    const result = await write(partial);
    await flush(partial);
    await rename(partial, path);
    await flush(parent);
    return result;
  } catch (error) {
    // On a failing disk this may fail too; the first error is what matters.
    if (partial) await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    if (made !== undefined) await removeEmptyFolders(parent, made);
    throw await explain(error, path, partial);
  } finally {
    stop();
  }
}

/** Throws an InputError if the name exists. */
export async function refuseExisting(path: string): Promise<void> {
  if (await exists(path))
    throw refusal(`${path} already exists and is not overwritten: name a new folder, or remove it`);
}

async function explain(error: unknown, path: string, partial = path): Promise<unknown> {
  if (error instanceof KelixError || systemCode(error) === undefined) return error;
  const { code, path: about } = error as NodeJS.ErrnoException;
  if (about !== undefined && !isInside(about, partial) && !isInside(path, about) && !WRITING_CODES.has(code ?? ""))
    return new ModelError(`${about}: cannot be read, ${systemReason(error)}`, { cause: error });
  // The name was free when the work started.
  if (await exists(path))
    return refusal(
      `${path} was created by another process in the meantime and is kept: name a new folder, or remove it`,
      error,
    );
  return new KelixError(`${quote(path)} could not be written: ${systemReason(error)}`, {
    code: "output_failed",
    cause: error,
  });
}

/** For a failed copy the system always names the source; these errors are about the target. */
const WRITING_CODES: ReadonlySet<string> = new Set(["EDQUOT", "EFBIG", "ENOSPC", "EROFS"]);

function isInside(path: string, folder: string): boolean {
  return !relative(resolve(folder), resolve(path)).startsWith("..");
}

function refusal(message: string, cause?: unknown): InputError {
  return new InputError(message, { code: "output_refused", cause });
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/** Removes `folder` and those above it up to `top`, as far as they are empty. */
export async function removeEmptyFolders(folder: string, top: string): Promise<void> {
  for (let at = resolve(folder); isInside(at, top); at = dirname(at)) {
    const isRemoved = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!isRemoved) return;
  }
}

/**
 * Starts a process that removes `folder` if this one ends before calling the returned function. It inherits this process's
 * stderr, so that anyone waiting for the end of the output also waits for the removal. If it cannot be started, or is killed
 * too, `removeStale` does the work later.
 */
function removeIfKilled(folder: string): () => void {
  const program =
    "process.stdin.on('end', () => require('node:fs').rmSync(process.argv[1], { recursive: true, force: true })).resume()";
  const helper = spawn(process.execPath, ["-e", program, folder], {
    stdio: ["pipe", "ignore", "inherit"],
    detached: true, // Ctrl-C and a closed terminal reach the whole group
    windowsHide: true,
    env: { ...process.env, NODE_OPTIONS: "", ELECTRON_RUN_AS_NODE: "1" },
  });
  helper.on("error", () => undefined);
  helper.stdin?.on("error", () => undefined);
  helper.unref();
  return () => {
    helper.kill();
  };
}

/** Flushes the names inside a folder to disk, where the system can. */
async function flush(folder: string): Promise<void> {
  const handle = await OpenFile.open(folder);
  await handle.sync().catch(() => undefined);
  await handle.close();
}
