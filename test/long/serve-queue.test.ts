// Acceptance of `kelix serve --queue`: two servers with kelix-nano over one Redis. One is killed in the middle of 20 accepted image
// requests, and their clients go to the other.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectRedis } from "../../src/redis/redis.ts";
import { startRedis, type TestRedis } from "../redis-server.ts";

const REQUESTS = 20;
const TAKE_OVER_SECONDS = 3;

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
  readonly log: () => string;
}

let redis: TestRedis;
const servers: Server[] = [];
beforeAll(async () => {
  redis = await startRedis({ aof: true });
});
afterAll(async () => {
  for (const { child } of servers) child.kill("SIGKILL");
  await redis.close();
});

async function serve(): Promise<Server> {
  const flags = ["--port", "0", "--threads", "1", "--take-over", `${TAKE_OVER_SECONDS}`];
  const child = spawn(process.execPath, ["dist/cli/main.js", "serve", ...flags], {
    env: { ...process.env, KELIX_MODEL: "kelix-nano", KELIX_API_KEYS: "", KELIX_QUEUE: redis.url },
  });
  let log = "";
  child.stderr.on("data", (piece) => {
    log += piece;
  });
  const url = String((await once(child.stdout, "data"))[0]).trim();
  const server = { child, url, log: () => log };
  servers.push(server);
  while (!(await fetch(`${url}/readyz`)).ok) await sleep(100);
  return server;
}

/** Requests that a server has answered, by its log. */
function answered({ log }: Server): string[] {
  return [...log().matchAll(/"msg":"request (\S+) is answered: imagine"/g)].map(([, id]) => id!);
}

/** Asks one server after the other until one answers. */
async function draw(i: number, urls: readonly string[]): Promise<{ readonly bytes: string; readonly tries: number }> {
  for (let tries = 1; ; tries++) {
    try {
      const answer = await fetch(`${urls[(i + tries) % urls.length]}/v1/images/generations`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": `drawing ${i}` },
        body: JSON.stringify({ prompt: `${i} red circles`, num_inference_steps: 2, guidance_scale: 1 }),
      });
      const bytes = await answer.text();
      if (answer.status === 200) return { bytes, tries };
      expect([500, 503]).toContain(answer.status);
    } catch (error) {
      if (tries > 200) throw error;
    }
    await sleep(200);
  }
}

/** The sum of a metric's series whose labels match. */
async function metric({ url }: Server, name: string, labels = /^/): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = [...text.matchAll(/^kelix:(\w+)(\{[^}]*\})? (\S+)$/gm)];
  const series = found.filter(([, own, given = ""]) => own === name && labels.test(given));
  return series.reduce((sum, [, , , value]) => sum + Number(value), 0);
}

test("a server is killed in the middle of 20 image requests: all are answered, and none is drawn twice", async () => {
  const [first, second] = [await serve(), await serve()];
  const urls = [first.url, second.url];
  const drawings = Array.from({ length: REQUESTS }, (_, i) => draw(i, urls));
  // In the middle: all are accepted, and the first has drawn some.
  const queue = await connectRedis(redis.url);
  const open = () => queue.zcard("kelix:serve:kelix-nano:open");
  while ((await open()) + answered(first).length + answered(second).length < REQUESTS) await sleep(5);
  while (answered(first).length < 2) await sleep(5);
  const left = await open();
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  queue.disconnect();
  const before = answered(first).length;
  const answers = await Promise.all(drawings);

  const ids = [...answered(first), ...answered(second)];
  const retried = answers.filter(({ tries }) => tries > 1).length;
  const again = await metric(second, "queue_requests_taken_total", /attempt="again"/);
  console.log(
    `killed with ${left} open, ${before} drawn by the killed server; ${retried} clients came back; taken again ${again}`,
  );
  expect(answers).toHaveLength(REQUESTS);
  // The queue counts what was answered. The log of the killed server may lack its last line.
  await expect.poll(() => metric(second, "queue_drawings_answered"), { timeout: 10_000 }).toBe(REQUESTS);
  expect(new Set(ids).size).toBe(ids.length);
  expect(left).toBeGreaterThan(4);
  expect(retried).toBeGreaterThan(0);

  // Whoever asks once more, at a server that is new, gets the same bytes, and nothing is drawn.
  const third = await serve();
  const repeated = await Promise.all(answers.map((_, i) => draw(i, [third.url])));
  const hash = ({ bytes }: { readonly bytes: string }) => createHash("sha256").update(bytes).digest("hex");
  expect(repeated.map(hash)).toEqual(answers.map(hash));
  expect(answered(third)).toEqual([]);
});

test("a stream goes on exactly when the server that writes it is killed", async () => {
  const [front, ...others] = servers.filter(({ child }) => child.exitCode === null && child.signalCode === null);
  const body = {
    messages: [{ role: "user", content: "Tell me" }],
    seed: 5,
    temperature: 1,
    max_tokens: 900,
    min_tokens: 900,
  };
  const ask = (stream: boolean) =>
    fetch(`${front!.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, stream }),
    });
  const { choices } = (await (await ask(false)).json()) as { choices: { message: { content: string } }[] };
  const whole = choices[0]!.message.content;
  const takenAgain = () => metric(front!, "queue_requests_taken_total", /attempt="again"/);
  const before = await takenAgain();
  // Which of the two writes it is not said: it is killed and replaced until it was in the middle of it.
  for (let tries = 0; (await takenAgain()) === before; tries++) {
    expect(tries).toBeLessThan(12);
    const victim = others.find(({ child }) => child.signalCode === null) ?? (await serve());
    if (!others.includes(victim)) others.push(victim);
    const reader = (await ask(true)).body!.pipeThrough(new TextDecoderStream()).getReader();
    const first = (await reader.read()).value!;
    victim.child.kill("SIGKILL");
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) rest += part.value;
    expect(textOf(first + rest)).toBe(whole);
    console.log(`killed after ${textOf(first).length} of ${whole.length} characters`);
  }
});

function textOf(events: string): string {
  const data = [...events.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data!));
  return data.map(({ choices }) => choices[0].delta.content ?? "").join("");
}

test("SIGTERM ends a server with status 0", async () => {
  const [server] = servers.filter(({ child }) => child.exitCode === null && child.signalCode === null);
  server!.child.kill("SIGTERM");
  const [status] = await once(server!.child, "exit");
  expect(status).toBe(0);
});
