// Connections: partial requests, oversized headers, clients that disconnect, many requests at once.

import type { Socket } from "node:net";
import { complain } from "./complaints.ts";
import { type Attack, type Finding, failed, held, judge } from "./finding.ts";
import { CHAT, closes, type Target } from "./target.ts";

/** Partial requests at once. */
const HELD_OPEN = 50;
/** How long another client may wait meanwhile. */
const BESIDE_MS = 5000;
const AT_ONCE = 24;
const LEAVERS = 6;

async function halfSent(target: Target): Promise<Finding> {
  const body = target.head("POST", CHAT, ["Content-Type: application/json", "Content-Length: 1000"]);
  const begins = [`${body}{"messages": [`, `GET /v1/models HTTP/1.1\r\nHost: ${target.url.host}\r\nX-Slow: `, ""];
  const open: { readonly socket: Socket; readonly begin: string }[] = [];
  for (let i = 0; i < HELD_OPEN; i++) {
    const socket = await target.connect().catch(() => undefined);
    if (!socket) break; // it accepts no more, which is fine
    const begin = begins[i % begins.length]!;
    socket.write(begin);
    open.push({ socket, begin });
  }
  try {
    const beside = await target.send("/v1/models", { method: "GET", timeoutMs: BESIDE_MS });
    if (beside.status !== 200)
      return failed(
        `with ${open.length} partial requests open, another client got no answer within ${BESIDE_MS / 1000} s`,
      );
    const ends = await Promise.all(
      open.map(async ({ socket, begin }) => (await closes(socket, target.patienceMs)) || begin === ""),
    );
    const left = ends.filter((isClosed) => !isClosed).length;
    if (left === 0) return held(`${open.length} partial requests block nobody and are closed in time`);
    return failed(
      `${left} of ${open.length} partial requests are still open after ${Math.round(target.patienceMs / 1000)} s`,
    );
  } finally {
    for (const { socket } of open) socket.destroy();
  }
}

async function longHeads(target: Target): Promise<Finding> {
  const lines: readonly (readonly [what: string, lines: readonly string[]])[] = [
    ["a header of 1 MB", [`X-Long: ${"x".repeat(1_000_000)}`]],
    ["100,000 headers", Array.from({ length: 100_000 }, (_, i) => `X-${i}: 1`)],
  ];
  const complaints: (string | undefined)[] = [];
  for (const [what, own] of lines) {
    const { text, isClosed } = await target.say(
      target.head("GET", "/v1/models", [...own, "Connection: close"]),
      BESIDE_MS,
    );
    const [, status] = /^HTTP\/1\.\d (\d+)/.exec(text) ?? [];
    if (status === "200") complaints.push(`${what}: accepted`);
    else if (status?.startsWith("5")) complaints.push(`${what}: status ${status}`);
    else if (!isClosed && text === "") complaints.push(`${what}: no answer within ${BESIDE_MS / 1000} s`);
  }
  return judge(complaints, "oversized headers are rejected");
}

/** Request smuggling: two lengths in one request. If a proxy uses one and the server the other, a second request hides in the body. */
async function smuggling(target: Target): Promise<Finding> {
  const hidden = `GET /v1/models HTTP/1.1\r\nHost: ${target.url.host}\r\n\r\n`;
  const both = target.head("POST", CHAT, [
    "Content-Type: application/json",
    `Content-Length: ${hidden.length + 5}`,
    "Transfer-Encoding: chunked",
  ]);
  const twice = target.head("POST", CHAT, [
    "Content-Type: application/json",
    "Content-Length: 2",
    `Content-Length: ${hidden.length + 2}`,
  ]);
  const complaints: (string | undefined)[] = [];
  for (const [what, text] of [
    ["a length and chunks", `${both}0\r\n\r\n${hidden}`],
    ["two lengths", `${twice}{}${hidden}`],
  ] as const) {
    const answers = (await target.say(text, 3000)).text.match(/^HTTP\/1\.\d \d+/gm) ?? [];
    if (answers.length > 1) complaints.push(`${what}: the hidden second request was answered too`);
  }
  return judge(complaints, "requests with two lengths are rejected");
}

/** A complete request whose answer takes long. */
export function longRequest(target: Target, seed: number): string {
  const json = JSON.stringify({
    model: target.model,
    messages: [{ role: "user", content: "Count to a thousand." }],
    stream: true,
    max_tokens: 4000,
    temperature: 1,
    seed,
  });
  const lines = ["Content-Type: application/json", `Content-Length: ${Buffer.byteLength(json)}`];
  return target.head("POST", CHAT, lines) + json;
}

async function leaving(target: Target): Promise<Finding> {
  await Promise.all(
    Array.from({ length: LEAVERS }, async (_, i) => {
      const socket = await target.connect();
      socket.write(longRequest(target, i));
      await Promise.race([
        new Promise((resolve) => socket.once("data", resolve)),
        new Promise((resolve) => setTimeout(resolve, 3000)),
      ]);
      socket.resetAndDestroy();
    }),
  );
  return judge(
    [complain("a request afterwards", await target.chat("Hi"))],
    `${LEAVERS} clients disconnected mid-answer, and the next one is served`,
  );
}

async function crowd(target: Target): Promise<Finding> {
  const replies = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => target.chat(`Hi ${i}`, { seed: i })));
  const complaints = replies.map((reply, i) => {
    const isAnswer = [200, 429, 503].includes(reply.status);
    return (
      complain(`request ${i + 1} of ${AT_ONCE}`, reply) ??
      (isAnswer ? undefined : `request ${i + 1} of ${AT_ONCE}: status ${reply.status}`)
    );
  });
  const busy = replies.filter(({ status }) => status === 429 || status === 503);
  if (busy.some(({ headers }) => !headers.has("retry-after")))
    complaints.push("a request was rejected without a Retry-After header");
  return judge(
    complaints,
    `${AT_ONCE} requests at once: ${AT_ONCE - busy.length} were answered, ${busy.length} told to retry`,
  );
}

export const connections: readonly Attack[] = [
  { name: "long-heads", about: "a header of 1 MB, and 100,000 headers", run: longHeads },
  { name: "smuggling", about: "requests with two lengths", run: smuggling },
  { name: "leaving", about: "clients that disconnect in the middle of an answer", run: leaving },
  { name: "crowd", about: `${AT_ONCE} requests at once`, run: crowd },
  { name: "half-sent", about: `${HELD_OPEN} requests whose headers or body never arrive completely`, run: halfSent },
];
