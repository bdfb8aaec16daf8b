// Eight clients of `kelix serve` against one, and one against the library: tokens per second, and the time between tokens. Server and
// clients are processes of their own on the same machine, the three ways take turns, and the best of several servers counts.

import { availableParallelism, cpus, loadavg } from "node:os";
import { Kelix } from "../../../src/index.ts";
import type { Experiment } from "../experiment.ts";
import { ChatClient, type StreamedAnswer } from "./chat-client.ts";
import { serve } from "./served.ts";

const MODEL = "kelix-nano";
const CLIENTS = 8;
/** Tokens that are forced, and about as many that are asked. */
const TOKENS = 64;
const ROUNDS = 20;

export const serveChat: Experiment = {
  name: "serve-chat-8",
  about:
    "clients of `kelix serve`: { nano: { one, eight: tokens/s, ratio, library, ofLibrary, p50Ms, p99Ms, ttftP50Ms, ttftP99Ms } }",
  async report({ session, processes, isSmall }, log) {
    const replicas = availableParallelism();
    const found: Round[] = [];
    for (let i = 0; i < (isSmall ? 1 : processes); i++) {
      log(`server ${i + 1}: ${replicas} workers`);
      found.push(await measureServer(replicas, isSmall ? 1 : ROUNDS, session.threads));
    }
    const best = (rate: (round: Round) => number) => Math.max(...found.map(rate));
    const [one, eight, library] = [best(({ one }) => one), best(({ eight }) => eight), best(({ library }) => library)];
    const fastest = found.find((round) => round.eight === eight)!;
    return {
      nano: {
        one,
        eight,
        ratio: eight / one,
        library,
        ofLibrary: one / library,
        p50Ms: quantile(fastest.betweenMs, 0.5),
        p99Ms: quantile(fastest.betweenMs, 0.99),
        ttftP50Ms: quantile(fastest.firstMs, 0.5),
        ttftP99Ms: quantile(fastest.firstMs, 0.99),
      },
      replicas,
      load: loadavg()[0],
      cpu: cpus()[0]?.model,
    };
  },
};

/** Tokens per second of the best round of each kind; times of the rounds of eight. */
interface Round {
  readonly one: number;
  readonly eight: number;
  readonly library: number;
  readonly betweenMs: readonly number[];
  readonly firstMs: readonly number[];
}

async function measureServer(replicas: number, rounds: number, threads: number | undefined): Promise<Round> {
  const kelix = await Kelix.load(MODEL, { ...(threads !== undefined && { threads }) });
  const server = await serve(["--replicas", String(replicas), ...(threads ? ["--threads", String(threads)] : [])]);
  const client = new ChatClient(server.url);
  const best = { one: 0, eight: 0, library: 0 };
  const [betweenMs, firstMs]: [number[], number[]] = [[], []];
  const note = (kind: keyof typeof best, clients: number, seconds: number) => {
    best[kind] = Math.max(best[kind], (clients * TOKENS) / seconds);
  };
  try {
    let asked = 0;
    const together = (count: number) =>
      Promise.all(
        Array.from({ length: count }, () => client.ask({ model: MODEL, content: prompt(asked++), tokens: TOKENS })),
      );
    await together(CLIENTS);
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
      const messages = [{ role: "user", content: prompt(asked++) } as const];
      const forced = { maxNewTokens: TOKENS, minNewTokens: TOKENS, mayDraw: false };
      note("library", 1, await seconds(() => kelix.chat(messages, forced).result()));
    }
  } finally {
    client.close();
    await server.stop();
    await kelix.dispose();
  }
  return { ...best, betweenMs, firstMs };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}

const words = ["red", "circle", "two", "blue", "square", "green", "tree", "what", "is", "this", "image", "a"];

/** About 64 tokens, which begin like no other prompt: nothing of it is cached. */
function prompt(number: number): string {
  return `${number} ${Array.from({ length: 52 }, (_, i) => words[(number * 7 + i * 5) % words.length]).join(" ")}`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}
