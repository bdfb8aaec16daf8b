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
