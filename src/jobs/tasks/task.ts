// A task: what is done with each image of a shard, and how the results are written. The same on one machine and on many.

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

/** P is a prepared image, R its result. */
export interface Task<T extends TaskName, P, R> {
  /** Of the output's file. */
  readonly suffix: string;
  /**
   * How many images are processed together, sharing the language model's steps. The groups are the same in every run, since the last
   * digits of a step may depend on what shares it.
   */
  readonly together: number;
  /** The most items that a shard may have. */
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
