// A job is one task on one shard. It is plain data that passes through a queue, so it is checked when it is read.

import * as z from "zod";
import { FetchError, InputError, ModelError, quote } from "../errors.ts";
import { withoutSecrets } from "../files/safe-url.ts";
import { optionsOf } from "../options.ts";

const { describe, reconstruct } = optionsOf;

/** The options of each task, with the ranges and defaults of the library's call of that name. */
export const tasks = {
  tokenize: z.strictObject({}),
  describe: describe.pick({ prompt: true, maxNewTokens: true, temperature: true, topK: true, topP: true, seed: true }),
  reconstruct: reconstruct.pick({ seed: true, steps: true, guidance: true, fusion: true, keepSize: true }),
  eval: reconstruct.pick({ seed: true, steps: true, guidance: true, fusion: true }),
} as const;
export type TaskName = keyof typeof tasks;
export type TaskOptions<T extends TaskName> = z.output<(typeof tasks)[T]>;

export const taskNames = Object.keys(tasks) as readonly TaskName[];

const location = z.string().min(1).max(4096);
const fields = {
  /** A tar, a Parquet file, a file of codes, or a folder of images: an absolute path, or s3://bucket/key. */
  input: location,
  /** The name of the output's files: the last part of the input's, without its suffix. */
  name: z.string().regex(/^[^/\\\0.][^/\\\0]{0,199}$/),
  /** The folder of the output: an absolute path, or s3://bucket/prefix. */
  output: location,
  /** As `--model` names it, on the worker's machine. */
  model: location,
};
const schema = z.discriminatedUnion("task", [
  z.strictObject({ task: z.literal("tokenize"), options: tasks.tokenize, ...fields }),
  z.strictObject({ task: z.literal("describe"), options: tasks.describe, ...fields }),
  z.strictObject({ task: z.literal("reconstruct"), options: tasks.reconstruct, ...fields }),
  z.strictObject({ task: z.literal("eval"), options: tasks.eval, ...fields }),
]);

export type Shard = z.output<typeof schema>;

/** Throws an InputError for anything else, such as a shard from another version of Kelix. */
export function parseShard(value: unknown): Shard {
  const { data, error } = schema.safeParse(value);
  if (data) return data;
  const [issue] = error.issues;
  throw new InputError(
    `Expected a shard as \`kelix jobs submit\` makes it; ${issue?.path.join(".") || "it"} is not: ${quote(value)}`,
  );
}

/** The result of processing a shard. */
export interface ShardReport {
  /** Whether its output already existed, with a matching manifest. */
  readonly isSkipped: boolean;
  readonly items: number;
  readonly done: number;
  readonly bad: number;
}

/**
 * What another try would do: `final` fails the same way; `passing` may succeed; `outage` succeeds once what the shard needs can be
 * reached again, a storage or the Hub, which is not the shard's fault.
 */
export type FailureKind = "final" | "passing" | "outage";

/** Why a shard failed, in a sentence, and what another try would do. */
export class ShardError extends Error {
  override readonly name = "ShardError";
  readonly kind: FailureKind;

  constructor(reason: string, kind: FailureKind, options?: ErrorOptions) {
    super(withoutSecrets(reason), options);
    this.kind = kind;
  }

  static of(error: unknown): ShardError {
    if (error instanceof ShardError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    const isFinal = error instanceof InputError || error instanceof ModelError;
    const isOutage = error instanceof FetchError && error.canRetry;
    return new ShardError(reason, isFinal ? "final" : isOutage ? "outage" : "passing", { cause: error });
  }
}
