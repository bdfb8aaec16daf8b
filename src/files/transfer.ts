// What is told of files while they come.

/** Bytes of the wanted files on disk, including earlier pulls. */
export interface PullProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Why a pull is waiting, in a sentence. */
export interface PullWait {
  readonly message: string;
  /** How long, if known. */
  readonly waitMs?: number;
}

/** How files are fetched. */
export interface TransferOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
  /** Told why a transfer stands still. */
  readonly onWait?: ((wait: PullWait) => void) | undefined;
  /** Patterns of files to fetch of a repository, in place of all that a model needs. */
  readonly include?: readonly string[];
}
