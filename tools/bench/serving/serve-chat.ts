// Eight clients of `kelix serve` against one, and one against the library: tokens per second, and the time between pieces of text. Server
// and clients are processes of their own on the same machine, the three ways take turns, and the best round of each counts.

import { availableParallelism, cpus, loadavg } from "node:os";
import { Kelix } from "../../../src/index.ts";
import type { Experiment, ExperimentSettings } from "../experiment.ts";
import { ChatClient, type StreamedAnswer } from "./chat-client.ts";
import { randomModel, type ServedShape } from "./random-model.ts";
import { quantile, seconds } from "./rounds.ts";
import { serve } from "./served.ts";

const CLIENTS = 8;
/** Tokens that are forced. */
const TOKENS = 64;

interface Load {
  readonly model: string;
  /** A small model's threads gain nothing: it has a worker for each core. A large one has a worker whose products share the cores. */
  readonly replicas: number;
  readonly servers: number;
  readonly rounds: number;
  /** The words of a question; no two numbers have the same. */
  readonly prompt: (number: number) => string;
}

export const serveChat: Experiment = {
  name: "serve-chat-8",
  about:
    "clients of `kelix serve`: { nano, h1024-l28: { one, eight: tokens/s, ratio, library, ofLibrary, p50Ms, p99Ms, ttftP50Ms, ttftP99Ms } }",
  async report(settings, log) {
    const { processes, isSmall, block } = settings;
    const nano = {
      model: "kelix-nano",
      replicas: availableParallelism(),
      servers: isSmall ? 1 : processes,
      rounds: isSmall ? 1 : 20,
      prompt: newWords,
    };
    const shape: ServedShape = isSmall ? "toy" : "h1024-l28";
    log(`nano: ${nano.servers} servers of ${nano.replicas} workers`);
    const found = { nano: await measure(nano, settings) };
    log(`${shape}: a server of one worker`);
    const model = await randomModel(shape, block);
    const large = { model, replicas: 1, servers: 1, rounds: isSmall ? 1 : 3, prompt: sharedWords };
    return { ...found, [shape]: await measure(large, settings), load: loadavg()[0], cpu: cpus()[0]?.model };
  },
};

async function measure(load: Load, { session }: ExperimentSettings) {
  const found: Rounds[] = [];
  for (let i = 0; i < load.servers; i++) found.push(await measureServer(load, session.threads));
  const best = (rate: (rounds: Rounds) => number) => Math.max(...found.map(rate));
  const [one, eight, library] = [best(({ one }) => one), best(({ eight }) => eight), best(({ library }) => library)];
  const fastest = found.find((rounds) => rounds.eight === eight)!;
  return {
    one,
    eight,
    ratio: eight / one,
    library,
    ofLibrary: one / library,
    p50Ms: quantile(fastest.betweenMs, 0.5),
    p99Ms: quantile(fastest.betweenMs, 0.99),
    ttftP50Ms: quantile(fastest.firstMs, 0.5),
    ttftP99Ms: quantile(fastest.firstMs, 0.99),
    replicas: load.replicas,
  };
}

/** Tokens per second of the best round of each kind; times of the rounds of eight. */
interface Rounds {
  readonly one: number;
  readonly eight: number;
  readonly library: number;
  readonly betweenMs: readonly number[];
  readonly firstMs: readonly number[];
}

async function measureServer({ model, replicas, rounds, prompt }: Load, threads: number | undefined): Promise<Rounds> {
  const kelix = await Kelix.load(model, { ...(threads !== undefined && { threads }) });
  const flags = ["--model", model, "--name", "bench", "--replicas", String(replicas)];
  const server = await serve([...flags, ...(threads ? ["--threads", String(threads)] : [])]);
  const client = new ChatClient(server.url);
  const best = { one: 0, eight: 0, library: 0 };
  const [betweenMs, firstMs]: [number[], number[]] = [[], []];
  const note = (kind: keyof typeof best, clients: number, seconds: number) => {
    best[kind] = Math.max(best[kind], (clients * TOKENS) / seconds);
  };
  let asked = 0;
  const together = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () => client.ask({ model: "bench", content: prompt(asked++), tokens: TOKENS })),
    );
  const inLibrary = () => {
    const messages = [{ role: "user", content: prompt(asked++) } as const];
    return kelix.chat(messages, { maxNewTokens: TOKENS, minNewTokens: TOKENS, mayDraw: false }).result();
  };
  try {
    await together(1);
    await together(CLIENTS);
    await inLibrary();
    for (let i = 0; i < rounds; i++) {
      note("one", 1, await seconds(() => together(1)));
      let answers: StreamedAnswer[] = [];
      note(
        "eight",
        CLIENTS,
        await seconds(async () => {
          answers = await together(CLIENTS);
        }),
      );
      betweenMs.push(...answers.flatMap((answer) => answer.betweenMs));
      firstMs.push(...answers.map((answer) => answer.firstMs));
      note("library", 1, await seconds(inLibrary));
    }
  } finally {
    client.close();
    await server.stop();
    await kelix.dispose();
  }
  return { ...best, betweenMs, firstMs };
}

const words = ["red", "circle", "two", "blue", "square", "green", "tree", "what", "is", "this", "image", "a"];

function sentence(count: number, offset: number): string {
  return Array.from({ length: count }, (_, i) => words[(offset + i * 5) % words.length]).join(" ");
}

/** 63 to 65 positions with the template's marks, which begin like no other prompt: nothing of them is cached. */
function newWords(number: number): string {
  return `${number} ${sentence(36, number * 7)}`;
}

/** About 510 positions, of which all but the last few are the same for everybody, as a system prompt is: they are read once. */
function sharedWords(number: number): string {
  return `${sentence(330, 0)} ${number}`;
}
