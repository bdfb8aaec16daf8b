// Shared by commands that use a model: loading and progress.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type Device,
  Kelix,
  type LoadOptions,
  type Output,
  type Progress,
  type PullProgress,
  type PullWait,
} from "../index.ts";
import { complain } from "./failures.ts";
import { interrupted, report, showProgress } from "./terminal.ts";
import { Transfer } from "./transfer.ts";

export interface GlobalOptions {
  readonly model?: string;
  readonly dit?: readonly string[];
  readonly vae?: string;
  readonly adapter?: string;
  readonly ignoreMemory?: boolean;
  readonly device?: Device;
  readonly threads?: number;
  readonly json?: boolean;
}

/**
 * Loads the model named by the options, passes it to `use`, and always disposes of it. Throws before any work when one of the
 * `outputs` is one of the model's files.
 */
export async function withModel<T>(
  globals: GlobalOptions,
  use: (kelix: Kelix) => Promise<T>,
  outputs: readonly Output[] = [],
): Promise<T> {
  const kelix = await Kelix.load(globals.model, loadOptions(globals));
  try {
    if (outputs.length > 0) {
      const files = await modelFiles([
        kelix.info().path,
        ...(globals.dit ?? []),
        ...(globals.vae ? [globals.vae] : []),
      ]);
      for (const output of outputs) await output.refuseToReplace(files);
    }
    return await use(kelix);
  } finally {
    await kelix.dispose();
  }
}

/** How a model is loaded: what the options say, with progress on the terminal. */
export function loadOptions(globals: GlobalOptions): LoadOptions {
  const { device, threads, ignoreMemory, adapter } = globals;
  const onTransfer = showTransfer();
  return {
    ...partFolders(globals),
    ...(device !== undefined && { device }),
    ...(threads !== undefined && { threads }),
    ...(ignoreMemory && { ignoreMemory }),
    ...(adapter !== undefined && { adapter }),
    signal: interrupted.signal,
    onWarning: (message) => complain(`warning: ${message}`),
    onProgress: ({ task, done, total }) => {
      if (task === "fetch") onTransfer({ doneBytes: done, totalBytes: total });
    },
  };
}

/** The files in these folders and their subfolders. */
async function modelFiles(folders: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  const list = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const path = join(folder, entry.name);
      if (!entry.isDirectory()) files.push(path);
      else if (depth > 0) await list(path, depth - 1);
    }
  };
  for (const folder of folders) await list(folder, 1);
  return files;
}

/** The model parts given by --dit and --vae. */
export function partFolders({ dit, vae }: GlobalOptions): Pick<LoadOptions, "detokenizer" | "autoencoder"> {
  return { ...(dit && { detokenizer: dit }), ...(vae !== undefined && { autoencoder: vae }) };
}

/** Progress of drawing as a line. */
export function onProgress({ task, done, total }: Progress): void {
  showProgress(done === total ? "" : `${taskNames[task]} ${done}/${total}`);
}

const taskNames: Readonly<Record<Progress["task"], string>> = {
  fetch: "fetching",
  load: "loading",
  write: "writing codes",
  draw: "drawing",
  decode: "decoding",
};

/** Says why a download is waiting, even without a terminal, where it would look like a hang. */
export function showWait({ message }: PullWait): void {
  report(`kelix: waiting: ${message}`);
}

const REDRAW_MS = 100;

/** Shows a transfer on a terminal's stderr, at most ten times a second; the line is cleared at the end. */
export function showTransfer(): (progress: PullProgress) => void {
  const transfer = new Transfer();
  let shownMs = Number.NEGATIVE_INFINITY;
  return (progress) => {
    if (progress.doneBytes === progress.totalBytes) {
      showProgress("");
      return;
    }
    if (performance.now() - shownMs < REDRAW_MS) return;
    shownMs = performance.now();
    showProgress(`fetching ${transfer.line(progress)}`);
  };
}
