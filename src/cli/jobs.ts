// kelix jobs: puts shards of a corpus into a queue, and watches over it. `kelix worker` does them.

import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { formatSeconds } from "../hub/format-bytes.ts";
import { InputError, optionsOf, publicUrl } from "../index.ts";
import { JobQueue, type QueueStatus } from "../jobs/queue.ts";
import { type Shard, type TaskName, taskNames, tasks } from "../jobs/shard.ts";
import type { GlobalOptions } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { quote } from "./quote.ts";
import { runHere, shardsOf } from "./shards.ts";
import { interrupted, printable, printJson, say } from "./terminal.ts";

interface RedisOptions {
  readonly redis: string;
}

interface WorkOptions {
  readonly input: readonly string[];
  readonly output: string;
}

export function redisOption(command: Command): Command {
  return command.addOption(
    new Option("--redis <url>", "the queue: Redis or Valkey").env("KELIX_REDIS").default("redis://127.0.0.1:6379"),
  );
}

export function define(command: Command): void {
  const subcommand = (name: string, about: string) => command.command(name).description(about);
  workOptions(redisOption(subcommand("submit", "put shards into the queue, one job each"))).action(
    async (task: string, options: WorkOptions & RedisOptions, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const shards = await shardsOf(workOf(task, command), options.input, options.output, globals);
      const { added, known } = await withQueue(options, (queue) => queue.submit(shards));
      if (globals.json) printJson({ added, known });
      else
        say(
          `${added} ${added === 1 ? "shard is" : "shards are"} in the queue${known > 0 ? `; ${known} were in it, or in the dead-letter list` : ""}`,
        );
    },
  );
  workOptions(subcommand("run", "do shards here, without a queue")).action(
    async (task: string, options: WorkOptions, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      await runHere(await shardsOf(workOf(task, command), options.input, options.output, globals), globals);
    },
  );
  redisOption(subcommand("status", "rate, time left, what failed, and each worker"))
    .option("--watch", "show it again every two seconds")
    .action(async (options: RedisOptions & { readonly watch?: boolean }, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalOptions>();
      await withQueue(options, async (queue) => {
        do {
          const status = await queue.status();
          if (json) printJson(status);
          else say(`${options.watch && process.stdout.isTTY ? "\x1b[2J\x1b[H" : ""}${describeStatus(status)}`);
          if (options.watch) await sleep(WATCH_MS, undefined, { signal: interrupted.signal }).catch(() => undefined);
        } while (options.watch && !interrupted.signal.aborted);
      });
    });
  redisOption(subcommand("pause", "workers finish what they have and take nothing more")).action(
    (options: RedisOptions) => withQueue(options, (queue) => queue.pause()),
  );
  redisOption(subcommand("resume", "workers take shards again")).action((options: RedisOptions) =>
    withQueue(options, (queue) => queue.resume()),
  );
  redisOption(subcommand("drain", "remove every shard that no worker has begun")).action(
    async (options: RedisOptions, command: Command) => {
      const removed = await withQueue(options, (queue) => queue.drain());
      if (command.optsWithGlobals<GlobalOptions>().json) printJson({ removed });
      else say(`${removed} shards were removed`);
    },
  );
  redisOption(subcommand("dead", "list the shards that failed three times, with reasons"))
    .addOption(new Option("--retry", "put them back into the queue").conflicts("clear"))
    .option("--clear", "forget them")
    .action(async (options: RedisOptions & { retry?: boolean; clear?: boolean }, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalOptions>();
      await withQueue(options, async (queue) => {
        const dead = (await queue.dead()).map((shard) => ({ ...shard, input: publicUrl(shard.input) }));
        if (json) printJson(dead);
        else
          for (const { task, input, attempts, reason } of dead)
            say(printable(`${task} ${input}: ${reason} (${attempts} ${attempts === 1 ? "attempt" : "attempts"})`));
        if (options.retry) await queue.retryDead();
        if (options.clear) await queue.clearDead();
      });
    });
}

const WATCH_MS = 2000;

function workOptions(command: Command): Command {
  command
    .argument("<task>", taskNames.join(", "))
    .requiredOption(
      "--input <shards...>",
      "folders, .tar, .parquet, .safetensors (codes), with patterns such as {000..999}",
    )
    .requiredOption("--output <place>", "a folder, or s3://bucket/prefix");
  addFlags(command, optionsOf.describe, {
    prompt: "<text>",
    maxNewTokens: "<n>",
    temperature: "<x>",
    topK: "<k>",
    topP: "<p>",
  });
  return addFlags(command, optionsOf.reconstruct, {
    seed: "<n>",
    steps: "<n>",
    guidance: "<x>",
    fusion: "<how>",
    keepSize: "",
  });
}

/** A task and the options that were given for it. Throws an InputError for options of another task. */
function workOf(name: string, command: Command): Pick<Shard, "task" | "options"> {
  const task = taskNames.find((task) => task === name) as TaskName | undefined;
  if (!task)
    throw new InputError(`Expected a task, ${taskNames.join(", ")}, got ${quote(name)}`, {
      code: "invalid_option",
    });
  const given: Record<string, unknown> = {};
  for (const [option, value] of Object.entries(command.opts())) {
    if (["input", "output", "redis"].includes(option) || command.getOptionValueSource(option) !== "cli") continue;
    if (!Object.hasOwn(tasks[task].shape, option))
      throw new InputError(`${task} takes no \`${option}\``, { code: "invalid_option" });
    given[option] = value;
  }
  return { task, options: tasks[task].parse(given) } as Pick<Shard, "task" | "options">;
}

async function withQueue<T>({ redis }: RedisOptions, use: (queue: JobQueue) => Promise<T>): Promise<T> {
  const queue = await JobQueue.open(redis);
  try {
    return await use(queue);
  } finally {
    await queue.close();
  }
}

function describeStatus(status: QueueStatus): string {
  const { waiting, active, delayed, dead, done, imagesPerSecond, secondsLeft, workers, isPaused } = status;
  const rate = `${imagesPerSecond.toFixed(1)} images/s`;
  const left = secondsLeft === undefined ? "" : `, about ${formatSeconds(secondsLeft)} left`;
  return [
    `${isPaused ? "paused; " : ""}${waiting} shards wait, ${active} are being done, ${delayed} wait for another try, ${dead} are dead`,
    `done: ${done.shards} shards, ${done.images} images, of which ${done.bad} bad`,
    `${rate} by ${workers.length} ${workers.length === 1 ? "worker" : "workers"}${left}`,
    ...workers.map(({ name, shard, shards, failed, imagesPerSecond: own, trouble }) => {
      const now = shard ? `${shard.task} ${shard.name} ${shard.done}/${shard.total}` : "idle";
      return printable(
        `  ${name}: ${now}${trouble ? `, waits: ${trouble}` : ""}; ${shards} done, ${failed} failed, ${own.toFixed(1)} images/s`,
      );
    }),
  ].join("\n");
}
