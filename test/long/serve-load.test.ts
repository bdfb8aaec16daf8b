// `kelix serve` under load: what it refuses, idle connections, answers in company, and memory after thousands of requests.

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { counterRandom } from "../../src/random/counter.ts";

const MODEL = "kelix-nano";
const [BATCH, QUEUE] = [8, 100];
const REQUESTS = 10_000;
/** The first ones fill the caches: the prefix cache has its 40 MiB after some 800. Memory is then measured as often as so many are done. */
const WARM_UP = 2_000;
const [COLLECTIONS, COLLECTION_MS] = [10, 2_000];
/** Three minutes on two free cores; an hour and more beside other work. */
const LONGEST_MS = 3 * 3600 * 1000;
const random = counterRandom(1, "load");

let server: ChildProcess;
let url: string;
let image: string;
beforeAll(async () => {
  const flags = ["--port", "0", "--log-level", "error", "--batch", `${BATCH}`, "--max-waiting", `${QUEUE}`];
  const env = { ...process.env, NODE_OPTIONS: `--require "${resolve("test/collect-garbage.cjs")}"` }; // for its threads too
  const stdio: StdioOptions = ["ignore", "pipe", "inherit"];
  server = spawn(process.execPath, ["dist/cli/main.js", "serve", ...flags], { env, stdio });
  url = String((await once(server.stdout!, "data"))[0]).trim();
  image = `data:image/png;base64,${(await readFile("data/heldout/demo/rocket.png")).toString("base64")}`;
  while (!(await fetch(`${url}/readyz`)).ok) await sleep(50);
});
afterAll(async () => {
  server?.kill("SIGTERM");
  if (server?.exitCode === null) await once(server, "exit");
});

function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { "Content-Type": "application/json" };
  return fetch(`${url}${path}`, {
    method: "POST",
    headers,
    body: JSON.stringify({ model: MODEL, ...body }),
    ...(signal && { signal }),
  });
}

const ask = (content: unknown, options: object = {}, signal?: AbortSignal) =>
  post("/v1/chat/completions", { messages: [{ role: "user", content }], max_tokens: 24, ...options }, signal);

async function textOf(response: Response): Promise<string> {
  expect(response.status).toBe(200);
  const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
  return choices[0]!.message.content;
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^kelix:${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)![1]);
}

async function idle(): Promise<void> {
  while ((await metric("num_requests_running")) + (await metric("num_requests_waiting")) > 0) await sleep(50);
}

test("of N + M requests where N fit exactly M get 429 with Retry-After, and none hangs", async () => {
  const more = 37;
  const running = Array.from({ length: BATCH }, (_, i) => ask(`Long ${i}`, { min_tokens: 600, max_tokens: 600 }));
  while ((await metric("num_requests_running")) < BATCH) await sleep(5);
  const waiting = Array.from({ length: QUEUE + more }, (_, i) => ask(`Question ${i}`, { max_tokens: 8 }));
  const answers = await Promise.all([...running, ...waiting]);
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(more);
  for (const { headers } of refused) expect(Number(headers.get("Retry-After"))).toBeGreaterThanOrEqual(1);
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(BATCH + QUEUE);
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
});

test("64 prompts in company, joined and left at random, are answered as alone, greedy and seeded", async () => {
  const nouns = ["rocket", "circle", "cat", "tree", "square", "umbrella", "house", "star"];
  const questions = Array.from({ length: 64 }, (_, i) => {
    const content = `What is ${i % 3} ${nouns[i % nouns.length]} and a ${nouns[(i * 5 + 1) % nouns.length]}?`;
    return { content, options: { seed: i, temperature: i % 2, max_tokens: 4 + random.integer(i, 40) } };
  });
  const alone: string[] = [];
  for (const { content, options } of questions) alone.push(await textOf(await ask(content, options)));
  expect(new Set(alone).size).toBeGreaterThan(8); // they say different things
  const leaving = Array.from({ length: 32 }, async (_, i) => {
    await sleep(random.integer(1000 + i, 1500));
    const signal = AbortSignal.timeout(5 + random.integer(2000 + i, 100));
    const gone = await ask("Tell me more", { min_tokens: 500, max_tokens: 500 }, signal)
      .then((answer) => answer.arrayBuffer())
      .catch((error: unknown) => error);
    expect(gone).toMatchObject({ name: "TimeoutError" });
  });
  const together = await Promise.all(
    questions.map(async ({ content, options }, i) => {
      await sleep(random.integer(3000 + i, 1500));
      return textOf(await ask(content, options));
    }),
  );
  await Promise.all(leaving);
  expect(together).toEqual(alone);
  await idle();
});

test("a thousand idle and half-sent connections do not stop others, and are closed in time", async () => {
  const { hostname, port } = new URL(url);
  const sockets: Socket[] = [];
  const open = Array.from({ length: 1000 }, async (_, i) => {
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    socket.on("error", () => undefined);
    await once(socket, "connect");
    if (i % 2 === 1) socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: ${hostname}\r\nContent-Le`);
  });
  await Promise.all(open);
  const startMs = performance.now();
  expect(await textOf(await ask("Hello"))).not.toBe("");
  expect(performance.now() - startMs).toBeLessThan(10_000);
  const halfSent = sockets.filter((_, i) => i % 2 === 1);
  for (const socket of halfSent) socket.resume();
  await Promise.all(halfSent.map((socket) => (socket.closed ? undefined : once(socket, "close"))));
  for (const socket of sockets) socket.destroy();
});

/** Bytes of the server in memory, garbage of its threads' heaps included: some 60 MiB more after a busy minute than after a quiet one. */
async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

/** Bytes that the idle server holds once garbage is collected. V8 gives memory back a little later, and only after several collections. */
async function heldBytes(): Promise<number> {
  await idle();
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < COLLECTIONS; i++) {
    server.kill("SIGUSR2");
    await sleep(COLLECTION_MS);
    least = Math.min(least, await residentBytes());
  }
  return least;
}

test(
  `memory stays flat over ${REQUESTS} mixed requests of which one in ten leaves in the middle`,
  async () => {
    const send = async (i: number): Promise<void> => {
      const signal = i % 10 === 9 ? AbortSignal.timeout(1 + random.integer(i, 60)) : undefined;
      const kind = random.integer(10_000 + i, 20);
      const content =
        kind < 4
          ? [
              { type: "image_url", image_url: { url: image } },
              { type: "text", text: `${i}` },
            ]
          : `${i}`;
      const small = { n: 1, size: "auto", num_inference_steps: 2, guidance_scale: 1 };
      const request =
        kind === 19
          ? post("/v1/images/generations", { prompt: `${i} circles`, ...small }, signal)
          : kind === 18
            ? post("/v1/embeddings", { input: image }, signal)
            : ask(content, { stream: kind % 2 === 0, seed: i, temperature: 1, max_tokens: 1 + (i % 16) }, signal);
      try {
        const answer = await request;
        await answer.arrayBuffer();
        expect(answer.status).toBe(200);
      } catch (error) {
        if (!signal?.aborted) throw error;
      }
    };
    let next = 0;
    const until = (end: number) =>
      Promise.all(
        Array.from({ length: 16 }, async () => {
          while (next < end) await send(next++);
        }),
      );
    const levels: number[] = [];
    const residents: number[] = [];
    for (let end = WARM_UP; end <= REQUESTS; end += WARM_UP) {
      await until(end);
      residents.push(await residentBytes());
      levels.push(await heldBytes());
      const [held, all] = [levels.at(-1)!, residents.at(-1)!].map((bytes) => Math.round(bytes / 2 ** 20));
      console.log(`after ${end} requests: ${held} MiB held, ${all} MiB with garbage`);
    }
    for (const level of levels) expect(level).toBeLessThan(1.1 * levels[0]!);
    for (const resident of residents) expect(resident).toBeLessThan(1.4 * levels[0]!); // garbage has its bounds too
    expect(await metric("worker_deaths_total")).toBe(0);
  },
  LONGEST_MS,
);
