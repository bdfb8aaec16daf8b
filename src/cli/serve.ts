// kelix serve: a model behind OpenAI's API over HTTP.

import { type Command, Option } from "commander";
import { type Logger, pino } from "pino";
import { InputError } from "../index.ts";
import { openEngine } from "../server/engine/engine.ts";
import { isLoopback } from "../server/http/access.ts";
import { type AnswerStore, defaultAnswerLimits, MemoryAnswers } from "../server/http/answers.ts";
import { listen } from "../server/http/listen.ts";
import { publicImages } from "../server/http/remote-image.ts";
import { defaultLimits, type HttpSettings } from "../server/http/settings.ts";
import type { Engine } from "../server/protocol.ts";
import { openQueueEngine } from "../server/queue/queue-engine.ts";
import { RedisAnswers } from "../server/queue/redis-answers.ts";
import { type GlobalOptions, partFolders } from "./context.ts";
import { excerpt } from "./quote.ts";
import { interrupted, note, printJson } from "./terminal.ts";

const DEFAULT_PORT = 8080;
/** For answers that are still being sent after the engine has ended. */
const SENDING_MS = 2000;
const MIB = 2 ** 20;
const HOUR_MS = 3600 * 1000;
const logLevels = ["debug", "info", "warn", "error", "silent"] as const;

interface Options extends GlobalOptions {
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[];
  readonly auth: boolean;
  readonly cors?: readonly string[];
  readonly allowRemoteImages?: boolean;
  readonly replicas: number;
  readonly batch: number;
  readonly queue?: string;
  readonly takeOver: number;
  readonly maxWaiting: number;
  readonly timeout: number;
  readonly grace: number;
  readonly maxBody: number;
  readonly maxImages: number;
  readonly maxConnections: number;
  readonly keepAnswers: number;
  readonly keepAnswersSize: number;
  readonly name?: string;
  readonly logLevel: (typeof logLevels)[number];
  readonly logPrompts?: boolean;
  readonly receipt: boolean;
}

export function define(command: Command): void {
  const number = (flags: string, about: string, from: number, to: number, absent: number) =>
    new Option(flags, about).argParser((text) => parseInteger(flags.split(" ")[0]!, text, from, to)).default(absent);
  const { keepMs, keepBytes } = defaultAnswerLimits;
  command
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .addOption(number("--port <n>", "port; 0 for any free one", 0, 65_535, DEFAULT_PORT))
    .option("--api-key <key>", "a key that clients must send; repeatable (or KELIX_API_KEYS=a,b)", collect)
    .option("--no-auth", "require no key")
    .option("--cors <origin>", "an allowed origin of web pages, or * for all; repeatable", collect)
    .option("--allow-remote-images", "fetch images by http(s) URL, from public addresses only")
    .option("--name <id>", "the model id for clients (default: the last part of its name)")
    .addOption(number("--replicas <n>", "workers, each with its own copy of the model", 1, 64, 1))
    .addOption(number("--batch <n>", "concurrent requests per worker", 1, 256, 8))
    .addOption(number("--max-waiting <n>", "maximum number of waiting requests; more get a 429", 0, 100_000, 64))
    .addOption(
      new Option("--queue <url>", "share requests with other servers over this Redis or Valkey").env("KELIX_QUEUE"),
    )
    .addOption(number("--take-over <seconds>", "with --queue, how long a silent server counts as alive", 1, 3600, 10))
    .addOption(number("--timeout <seconds>", "time limit of a request, waiting included", 1, 86_400, 600))
    .addOption(number("--grace <seconds>", "time for running requests to finish when the server stops", 0, 3600, 30))
    .addOption(number("--max-body <MiB>", "maximum body of a request", 1, 1024, defaultLimits.bodyBytes / MIB))
    .addOption(number("--max-images <n>", "maximum images per request", 1, 256, defaultLimits.images))
    .addOption(number("--max-connections <n>", "maximum connections", 1, 1_000_000, 4096))
    .addOption(
      number(
        "--keep-answers <hours>",
        "how long to keep answers for retries with an Idempotency-Key",
        0,
        720,
        keepMs / HOUR_MS,
      ),
    )
    .addOption(number("--keep-answers-size <MiB>", "maximum size of all kept answers", 0, 1_000_000, keepBytes / MIB))
    .addOption(new Option("--log-level <level>", "level of the JSON log on stderr").choices(logLevels).default("info"))
    .option("--no-receipt", "leave receipts, which contain the prompt, out of images")
    .option("--log-prompts", "log prompts")
    .addHelpText(
      "after",
      "\nSIGTERM or Ctrl-C finishes running requests and rejects others; a second one stops at once." +
        "\nExamples:\n  kelix serve" +
        "\n  kelix serve --model OpenOneRec/Kelix-SFT --port 0 --replicas 2" +
        "\n  KELIX_API_KEYS=secret kelix serve --host 0.0.0.0" +
        "\n  kelix serve --queue redis://queue.internal:6379   # on each machine, behind any load balancer" +
        `\n  curl http://127.0.0.1:${DEFAULT_PORT}/v1/models`,
    )
    .action(async (_: unknown, command: Command) => serve(command.optsWithGlobals<Options>()));
}

async function serve(options: Options): Promise<void> {
  const settings = readSettings(options);
  const { log } = settings;
  const { engine, answers } = await open(options, log);
  try {
    const { port, maxConnections } = options;
    const server = await listen({ engine, settings, answers }, { port, maxConnections });
    try {
      if (options.json) printJson({ url: server.url });
      else process.stdout.write(`${server.url}\n`);
      note(`Base URL for clients: ${server.url}/v1 (model ${engine.models[0]!.id}; Ctrl-C stops)`);
      await untilStopped(engine.ready);
      log.info("stopping: finishing running requests");
      await engine.close({ graceMs: options.grace * 1000 });
    } finally {
      await server.close({ graceMs: SENDING_MS });
    }
  } finally {
    await engine.close({ graceMs: 0 });
  }
}

/** The engine, alone or sharing a queue, and the store of answers. */
async function open(options: Options, log: Logger): Promise<{ engine: Engine; answers: AnswerStore }> {
  const { model = "kelix-nano", device, threads, ignoreMemory, adapter, queue } = options;
  const deadlineMs = options.timeout * 1000;
  const limits = { keepMs: options.keepAnswers * HOUR_MS, keepBytes: options.keepAnswersSize * MIB };
  if (queue !== undefined && /^\d+$/.test(queue)) {
    const message = `--queue: Expected an address such as redis://HOST:6379; to limit waiting requests use --max-waiting ${queue}`;
    throw new InputError(message, { code: "invalid_option" });
  }
  const engine = openEngine({
    model,
    ...(options.name !== undefined && { id: options.name }),
    load: {
      ...partFolders(options),
      ...(device !== undefined && { device }),
      ...(threads !== undefined && { threads }),
      ...(ignoreMemory && { ignoreMemory }),
      ...(adapter !== undefined && { adapter }),
    },
    replicas: options.replicas,
    maxRunning: options.batch,
    maxWaiting: options.maxWaiting,
    deadlineMs,
    log: ({ level, message, detail }) => log[level]({ ...(detail !== undefined && { detail }) }, message),
  });
  if (queue === undefined) return { engine, answers: new MemoryAnswers(limits) };
  try {
    const shared = await openQueueEngine({
      url: queue,
      engine,
      slots: options.batch * options.replicas,
      maxWaiting: options.maxWaiting,
      deadlineMs,
      lockMs: options.takeOver * 1000,
      keepMs: limits.keepMs,
      log: (level, message, detail) => log[level]({ ...(detail !== undefined && { detail }) }, message),
    });
    return { engine: shared, answers: new RedisAnswers(shared.broker, limits) };
  } catch (error) {
    await engine.close({ graceMs: 0 });
    throw error;
  }
}

/** Rejects if the model cannot be loaded. */
function untilStopped(ready: Promise<void>): Promise<void> {
  const { signal } = interrupted;
  return new Promise((resolve, reject) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
    ready.catch(reject);
  });
}

function readSettings(options: Options): HttpSettings {
  const { host, auth, cors = [], logLevel, logPrompts = false, allowRemoteImages } = options;
  const fromEnvironment = (process.env.KELIX_API_KEYS ?? "").split(",");
  const apiKeys = [...(options.apiKey ?? []), ...fromEnvironment].map((key) => key.trim()).filter((key) => key !== "");
  if (!auth && apiKeys.length > 0) {
    throw new InputError("--no-auth and API keys exclude each other; use one of them", { code: "invalid_option" });
  }
  if (auth && apiKeys.length === 0 && !isLoopback(host)) {
    throw new InputError(
      `Other machines can reach ${excerpt(host)}: set --api-key KEY or KELIX_API_KEYS, or --no-auth to require no key`,
      { code: "invalid_option" },
    );
  }
  for (const origin of cors) checkOrigin(origin);
  return {
    host,
    apiKeys,
    corsOrigins: cors,
    ...(allowRemoteImages && { remoteImages: publicImages }),
    limits: { ...defaultLimits, bodyBytes: options.maxBody * MIB, images: options.maxImages },
    receipts: options.receipt,
    log: pino({ level: logLevel, base: null }, pino.destination({ dest: 2, sync: true })),
    logPrompts,
  };
}

function checkOrigin(origin: string): void {
  if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin)) return;
  throw new InputError(`--cors: Expected an origin such as https://example.org, or *, got ${excerpt(origin)}`, {
    code: "invalid_option",
  });
}

function parseInteger(flag: string, text: string, from: number, to: number): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isInteger(value) && value >= from && value <= to) return value;
  throw new InputError(`${flag}: Expected an integer from ${from} to ${to}, got ${excerpt(text) || "an empty text"}`, {
    code: "invalid_option",
  });
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}
