// A task: what is done with each image of a shard, and how what came of them is written. The same for one machine and for many.

import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import type { Kelix } from "../../kelix.ts";
import type { WritableFile } from "../../output/atomic-file.ts";
import type { TaskName, TaskOptions } from "../shard.ts";
import type { ShardImage } from "../shard-items.ts";

export interface TaskContext<T extends TaskName> {
  readonly kelix: Kelix;
  readonly options: TaskOptions<T>;
  /** Of the model's files. */
  readonly modelHash: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Result<R> {
  readonly key: string;
  readonly value: R;
}

/** P is an image as it is ready to be worked on, R what comes of it. */
export interface Task<T extends TaskName, P, R> {
  /** Of the output's file. */
  readonly suffix: string;
  /**
   * Images that are worked on at once, and so share the language model's steps. It is the same group in every run, since a step's last
   * digits may depend on who shares it.
   */
  readonly together: number;
  /** Items of a shard at most. */
  readonly maxItems: number;
  /** Throws an InputError for an image that cannot be used. */
  prepare(image: ShardImage, context: TaskContext<T>): Promise<P>;
  /** `seed` is the item's own. Throws an InputError for an image that cannot be used. */
  work(prepared: P, seed: number, context: TaskContext<T>): Promise<R>;
  write(results: AsyncIterable<Result<R>>, file: WritableFile, context: TaskContext<T>): Promise<void>;
}

/** The image itself. Throws an InputError for codes. */
export function pixelsOf(image: ShardImage, task: TaskName): RgbImage {
  if ("data" in image) return image;
  throw new InputError(`${task} takes images, and this is a file of codes; reconstruct takes codes too`);
}
