// kelix serve as a process: what it prints, what it refuses, and how it stops.

import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { program, runCli } from "./run-cli.ts";

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill("SIGKILL");
});

interface Served {
  readonly url: string;
  readonly log: () => string;
  readonly ended: Promise<number | null>;
  readonly startedMs: number;
}

/** Starts the server and waits for its URL. */
async function serve(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const began = performance.now();
  const started = spawn(process.execPath, [program, "serve", "--port", "0", "--threads", "1", ...args], {
    env: { ...process.env, KELIX_MODEL: "kelix-nano", KELIX_API_KEYS: "", ...env },
  });
  child = started;
  let log = "";
  started.stderr.on("data", (piece) => {
    log += piece;
  });
  const ended = new Promise<number | null>((resolve) => started.on("close", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    started.stdout.on("data", (piece) => resolve(String(piece).trim()));
    ended.then(() => reject(new Error(`ended before it listened: ${log}`)), reject);
  });
  return { url, log: () => log, ended, startedMs: performance.now() - began };
}

function ask(url: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ messages: [{ role: "user", content: "Tell me of purple whales" }], ...body }),
  });
}

test("listens soon, answers once the model is there, and says nothing of prompts in its log", async () => {
  const { url, log, ended, startedMs } = await serve([], { KELIX_API_KEYS: "one,two" });
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(startedMs).toBeLessThan(10_000); // 3 seconds on a quiet machine
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  expect((await ask(url, {})).status).toBe(401);
  const answer = await ask(url, { max_tokens: 5 }, { authorization: "Bearer two", "x-request-id": "mine" });
  expect(answer.status).toBe(200); // it waited for the model
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  child!.kill("SIGTERM");
  expect(await ended).toBe(0);
  const lines = log()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toContainEqual(
    expect.objectContaining({ requestId: "mine", route: "/v1/chat/completions", status: 200, key: expect.any(String) }),
  );
  expect(log()).not.toMatch(/whales|Bearer|"two"/);
});

test("SIGTERM lets an answer finish, refuses new ones, and ends with 0; --log-prompts writes prompts", async () => {
  const { url, log, ended } = await serve(["--log-prompts"]);
  const running = await ask(url, { max_tokens: 600, min_tokens: 600, stream: true });
  const reader = running.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value!;
  child!.kill("SIGTERM");
  await expect.poll(log).toContain("stopping");
  const refused = await ask(url, {});
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, expect.any(String)]);
  expect(((await refused.json()) as { error: { code: string } }).error.code).toBe("draining");
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  expect(text).toContain('"finish_reason":"length"');
  expect(await ended).toBe(0);
  expect(log()).toContain("purple whales");
});

test("what cannot be served is one sentence and status 2", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  for (const [args, sentence] of [
    [
      ["--host", "0.0.0.0"],
      /^kelix: Other machines can reach 0\.0\.0\.0: set --api-key KEY or KELIX_API_KEYS, or --no-auth/,
    ],
    [["--no-auth", "--api-key", "a"], /^kelix: --no-auth and API keys exclude each other/],
    [["--cors", "example.org"], /^kelix: --cors: Expected an origin such as https:\/\/example\.org/],
    [["--port", "99999"], /^kelix: --port: Expected an integer from 0 to 65535, got 99999/],
    [["--port", `${port}`], /^kelix: Port \d+ of 127\.0\.0\.1 is in use; choose another with --port/],
  ] as const) {
    const { status, err, out } = await runCli(["serve", "--log-level", "silent", ...args], {
      env: { KELIX_API_KEYS: "" },
    });
    expect([err, status, out]).toEqual([expect.stringMatching(sentence), 2, ""]);
    expect(err.trim().split("\n")).toHaveLength(1);
  }
  taken.close();
});

test("a model that is not there ends it", async () => {
  const { status, err } = await runCli([
    "serve",
    "--port",
    "0",
    "--model",
    "./no-such-folder",
    "--log-level",
    "silent",
  ]);
  expect(status).toBe(1);
  expect(err.trim().split("\n")).toHaveLength(1);
});
