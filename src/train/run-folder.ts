// A run's folder: one process at a time trains there, all files belong to the same run, and each is written atomically.
//   config.json  log.jsonl  report.html  samples/  checkpoints/step-N/  train.lock

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { readJsonIfPresent } from "../checkpoint/json-file.ts";
import { InputError } from "../errors.ts";
import { fileAt } from "../files/folder.node.ts";
import { systemReason } from "../files/system-error.ts";
import { type FileLock, tryLock } from "../hub/file-lock.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { replaceFile, writeAll } from "../output/atomic-file.ts";
import { isTemporaryName } from "../output/stale.ts";
import { whileWriting } from "../output/while-writing.ts";
import { removeEmptyFolders } from "../quantize/atomic-folder.ts";
import { type RunConfig, runSchema } from "./config.ts";
import type { ParameterStore } from "./parameter-store.ts";
import { compareSettings } from "./run-changes.ts";
import { appendRunLog, cutRunLog } from "./run-log.ts";
import { writeRunReport } from "./run-report.ts";
import { parseSettings } from "./settings.ts";
import { type CheckpointFolder, listCheckpoints, readTrainingState, writeTrainingState } from "./training-state.ts";

export interface OpenRunOptions {
  readonly resume?: boolean;
  /** Continues even if the settings would make it another run. */
  readonly acceptChanges?: boolean;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** One step of a stage, especially k-means, may block the event loop and its heartbeat this long. */
const LOCK_SILENCE_MS = 120_000;

export class RunFolder {
  readonly #config: RunConfig;
  readonly #lock: FileLock;
  readonly #checkpoints: readonly CheckpointFolder[];
  readonly #log: (line: string) => void;
  /** The outermost folder created for it. */
  readonly #made: string | undefined;

  private constructor(
    config: RunConfig,
    lock: FileLock,
    checkpoints: readonly CheckpointFolder[],
    log: (line: string) => void,
    made: string | undefined,
  ) {
    this.#config = config;
    this.#lock = lock;
    this.#checkpoints = checkpoints;
    this.#log = log;
    this.#made = made;
  }

  /**
   * Claims the folder for this process. Throws an InputError if another process trains there, if it contains a run and `resume` is
   * not set, or if the run was started with other settings. Its contents are not changed yet.
   */
  static async open(config: RunConfig, options: OpenRunOptions = {}): Promise<RunFolder> {
    const { folder } = config;
    const { resume = false, log = () => {}, signal } = options;
    const made = await whileWriting(folder, () => makeFolder(join(folder, "checkpoints")));
    const onWait = () =>
      log(`${folder}: another process may be training here; waiting up to ${LOCK_SILENCE_MS / 1000} s`);
    const lock = await whileWriting(folder, () =>
      tryLock(join(folder, "train.lock"), { silenceMs: LOCK_SILENCE_MS, signal, onWait }),
    );
    if (!lock)
      throw new InputError(
        `${folder}: another process is already training here. Wait until it ends, or name another folder`,
      );
    const run = new RunFolder(config, lock, await listCheckpoints(folder), log, made);
    try {
      const { last } = run;
      if (last && !resume)
        throw new InputError(
          `${folder} contains a run at step ${last.step}. Add --resume to continue it, or name another folder`,
        );
      if (last) await run.#compare(options.acceptChanges ?? false);
      return run;
    } catch (error) {
      await run.close();
      throw error;
    }
  }

  /** The checkpoint to resume from; undefined for a new run. */
  get last(): CheckpointFolder | undefined {
    return this.#checkpoints.at(-1);
  }

  /** Aborted when another process has taken the folder. */
  get lost(): AbortSignal {
    return this.#lock.lost;
  }

  async #compare(acceptChanges: boolean): Promise<void> {
    const path = join(this.#config.folder, "config.json");
    const json = await readJsonIfPresent(...fileAt(path));
    if (json === undefined) {
      this.#log(`${path} is missing: cannot check that the settings match those the run started with`);
      return;
    }
    const before = parseSettings(runSchema, json, path);
    for (const line of compareSettings(before, this.#config, acceptChanges)) this.#log(line);
  }

  /** Fills the store from the last checkpoint; returns how many updates it has. */
  async restore(store: ParameterStore): Promise<number> {
    const { last } = this;
    if (!last) return 0;
    const earlier = this.#checkpoints.at(-2);
    try {
      return await readTrainingState(last.folder, store, this.#config.steps);
    } catch (error) {
      if (!earlier || last.step > this.#config.steps) throw error;
      const way = `If the checkpoint is damaged, remove ${last.folder} to resume from step ${earlier.step}`;
      throw new InputError(`${(error as Error).message}. ${way}`, { cause: error });
    }
  }

  /** Cuts every file back to `step`. Called after all checks. */
  async begin(step: number): Promise<void> {
    const { folder } = this.#config;
    for (const name of [folder, join(folder, "checkpoints"), join(folder, "samples")]) await removeLeftovers(name);
    for (const path of [this.#logFile, this.#numbersFile]) {
      const lines = await cutRunLog(path, step);
      if (lines > 0)
        this.#log(`${path}: truncated to step ${step}, ${lines} ${lines === 1 ? "line" : "lines"} removed`);
    }
    const path = join(folder, "config.json");
    const text = `${JSON.stringify(this.#config, null, 2)}\n`;
    await whileWriting(path, () => replaceFile(path, (file) => writeAll(file, new TextEncoder().encode(text))));
  }

  get #logFile(): string {
    return join(this.#config.folder, "log.jsonl");
  }

  get #numbersFile(): string {
    return join(this.samplesFolder, "numbers.jsonl");
  }

  get samplesFolder(): string {
    return join(this.#config.folder, "samples");
  }

  /** Adds a line to log.jsonl. */
  log(entry: Readonly<Record<string, number>>): Promise<void> {
    return appendRunLog(this.#logFile, entry);
  }

  /** Adds a line to samples/numbers.jsonl. */
  logNumbers(entry: Readonly<Record<string, number>>): Promise<void> {
    return appendRunLog(this.#numbersFile, entry);
  }

  /** Saves a checkpoint. */
  async save(step: number, store: ParameterStore): Promise<void> {
    this.lost.throwIfAborted();
    await writeTrainingState(this.#config.folder, step, store);
  }

  /** Writes report.html for the current state. A failure here does not end the run. */
  async report(): Promise<void> {
    await writeRunReport(this.#config.folder).catch((error: unknown) => {
      this.#log(`report.html was not written: ${systemReason(error)}`);
    });
  }

  /** Releases the folder. Removes it if nothing was written. */
  async close(): Promise<void> {
    await this.#lock.release();
    if (this.#made !== undefined) await removeEmptyFolders(join(this.#config.folder, "checkpoints"), this.#made);
  }
}

/** Removes leftovers of a killed owner; the lock guarantees that nobody else writes here. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const isCheckpoint = /^\.step-\d+\.(tmp|old)$/.test(name);
    if (isCheckpoint || isTemporaryName(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
