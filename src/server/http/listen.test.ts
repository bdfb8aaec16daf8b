// What only a socket shows: readers that do not read, connections that say nothing, the end of the server.

import http, { type IncomingMessage } from "node:http";
import net from "node:net";
import { afterEach, expect, test } from "vitest";
import { httpSettings } from "../../../test/http-app.ts";
import { end, type Script, ScriptedEngine, says } from "../../../test/scripted-engine.ts";
import { type HttpServer, type ListenOptions, listen } from "./listen.ts";

const hello = JSON.stringify({ messages: [{ role: "user", content: "Hi" }], stream: true });
const head = (length: number | string) =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n`;

let server: HttpServer;
let engine: ScriptedEngine;
afterEach(() => server?.close());

async function start(
  script?: Script,
  options: Partial<ListenOptions> = {},
  settings: Parameters<typeof httpSettings>[0] = {},
): Promise<void> {
  engine = new ScriptedEngine(script);
  server = await listen({ engine, settings: httpSettings(settings) }, { port: 0, ...options });
}

/** Sends bytes as they are, and gives all that comes until the server ends it. */
function raw(text: string, { half = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = net.connect(server.port, "127.0.0.1", () => (half ? socket.write(text) : socket.end(text)));
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", () => undefined);
  });
}

async function isAlive(): Promise<boolean> {
  return (await fetch(`${server.url}/livez`)).ok;
}

function post(body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { method: "POST", headers: { "content-type": "application/json" } };
    http.request(`${server.url}/v1/chat/completions`, options, resolve).on("error", reject).end(body);
  });
}

test("a reader that does not read pauses the work, and is dropped", async () => {
  let written = 0;
  let isAborted = false;
  const script: Script = async function* (_, { signal }) {
    signal!.addEventListener("abort", () => {
      isAborted = true;
    });
    while (!signal!.aborted) {
      written++;
      yield { type: "text", text: "x".repeat(100_000) };
    }
  };
  await start(script, {}, { limits: { unsentBytes: 2 ** 20, stallMs: 400 } });
  const response = await post(hello);
  response.pause();
  response.on("error", () => undefined);
  await expect.poll(() => written, { timeout: 5000 }).toBeGreaterThan(10);
  await new Promise((resolve) => setTimeout(resolve, 150));
  const paused = written;
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(written).toBe(paused); // what the system's buffers take is some megabytes
  expect(paused).toBeLessThan(400);
  await expect.poll(() => isAborted, { timeout: 5000 }).toBe(true);
  expect(await isAlive()).toBe(true);
});

test("a client that leaves before its answer is counted as 499, not as a failure of the server", async () => {
  await start(async function* (_, { signal }) {
    await new Promise((resolve) => signal!.addEventListener("abort", resolve));
    throw signal!.reason;
  });
  const leaving = new AbortController();
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });
  const asked = fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers, body, signal: leaving.signal });
  await expect.poll(() => engine.requests.length).toBe(1);
  leaving.abort();
  await expect(asked).rejects.toThrow("aborted");
  const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
  await expect.poll(metrics).toMatch(/http_requests_total\{route="\/v1\/chat\/completions",status="499"\} 1/);
});

test("a slow reader gets all of it", async () => {
  const texts = Array.from({ length: 50 }, (_, i) => `${i} `.padEnd(50_000, "x"));
  await start(says(...texts), {}, { limits: { unsentBytes: 100_000 } });
  let text = "";
  for await (const chunk of await post(hello)) {
    text += chunk;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const contents = text.split("\n\n").filter((line) => line.includes('"content":"'));
  expect(contents.length).toBe(51); // and the opening
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
});

test("pieces that are ready together leave together", async () => {
  await start(says(...Array.from({ length: 100 }, (_, i) => `${i} `)));
  let chunks = 0;
  for await (const _ of await post(hello)) chunks++;
  expect(chunks).toBeLessThan(20);
});

test.each([
  ["no HTTP", "hello\r\n\r\n", 400, "malformed_request"],
  [
    "a header of 20 KB",
    `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
    431,
    "headers_too_large",
  ],
  ["no Host", "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "malformed_request"],
  ["a Host that is none", "GET /livez HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", 400, "malformed_request"],
  ["another Host", "GET /livez HTTP/1.1\r\nHost: evil.org\r\nConnection: close\r\n\r\n", 403, "host_not_allowed"],
  [
    "another Host in the target",
    "GET http://evil.org/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    403,
    "host_not_allowed",
  ],
  ["two lengths", `${head(5)}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400, "malformed_request"],
  ["a negative length", `${head(-5)}\r\n`, 400, "malformed_request"],
  ["a length of 1e18 bytes", `${head("1000000000000000000")}\r\n`, 413, "body_too_large"],
])("%s", async (_, text, status, code) => {
  await start();
  const answer = await raw(text);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1)).error.code).toBe(code);
  expect(await isAlive()).toBe(true);
});

test("half a head and half a body are given up in time; others are served meanwhile", async () => {
  await start(undefined, { headersTimeoutMs: 300, requestTimeoutMs: 600 });
  const halves = [
    raw("GET /livez HTTP/1.1\r\nHost: local", { half: true }),
    raw(`${head(1000)}\r\n{"a":`, { half: true }),
    raw("", { half: true }),
  ];
  expect(await isAlive()).toBe(true);
  const [headless, bodiless] = await Promise.all(halves);
  expect(headless).toContain("408");
  expect(bodiless === "" || /^HTTP\/1.1 (408|400)/.test(bodiless!)).toBe(true);
}, 20_000);

test("a chunked body without a length is cut at the limit", async () => {
  await start(undefined, {}, { limits: { bodyBytes: 100_000 } });
  const chunk = `2710\r\n${"x".repeat(10_000)}\r\n`;
  const answer = await raw(
    `${head(0).replace(/Content-Length.*\r\n/, "")}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(30)}`,
    { half: true },
  );
  expect(answer).toMatch(/^HTTP\/1.1 413 /);
  expect(await isAlive()).toBe(true);
});

test("a refused client reads why, although it has not sent all", async () => {
  await start();
  const body = "x".repeat(3_000_000);
  for (const [headers, status] of [
    [{ "content-encoding": "gzip", "content-type": "application/json" }, 415],
    [{ "content-type": "text/plain" }, 415],
    [{ "content-type": "application/json", origin: "https://evil.org" }, 403],
  ] as const) {
    const response = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers, body });
    expect([headers, response.status]).toEqual([headers, status]);
    await response.text();
  }
});

test("1,000 idle connections stop nobody", async () => {
  await start();
  const sockets = Array.from({ length: 1000 }, () => net.connect(server.port, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.on("connect", resolve))));
  expect(await isAlive()).toBe(true);
  for (const socket of sockets) socket.destroy();
});

test("a port in use is one clear error", async () => {
  await start();
  const again = listen({ engine, settings: httpSettings() }, { port: server.port });
  await expect(again).rejects.toThrow(`Port ${server.port} of 127.0.0.1 is in use; choose another with --port`);
});

test("closing lets an answer finish and takes no new connection", async () => {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  await start(async function* () {
    yield { type: "text", text: "begun" };
    await gate;
    yield end;
  });
  const response = await post(hello);
  const closed = server.close({ graceMs: 10_000 });
  await expect(fetch(`${server.url}/livez`)).rejects.toThrow();
  go();
  let text = "";
  for await (const chunk of response) text += chunk;
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  await closed;
});
