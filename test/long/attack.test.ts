// Every attack of kelix attack against kelix serve's own HTTP side and engine: all hold.

import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attackServer, attacks } from "../../src/attack/attack.ts";
import { openEngine } from "../../src/server/engine/engine.ts";
import { type HttpServer, listen } from "../../src/server/http/listen.ts";
import { defaultLimits } from "../../src/server/http/settings.ts";
import type { Engine } from "../../src/server/protocol.ts";

let engine: Engine;
let server: HttpServer;
beforeAll(async () => {
  engine = openEngine({ model: "kelix-nano", load: { threads: 1 } });
  const log = pino({ level: "silent" });
  const limits = { ...defaultLimits, bodyBytes: 4 * 2 ** 20 };
  const settings = { host: "127.0.0.1", apiKeys: ["secret", "other"], corsOrigins: [], limits, log, logPrompts: false };
  // Shorter than usual, and still longer than a busy machine stands still.
  server = await listen({ engine, settings }, { port: 0, headersTimeoutMs: 5000, requestTimeoutMs: 8000 });
  await engine.ready;
});
afterAll(async () => {
  await server?.close({ graceMs: 0 });
  await engine?.close({ graceMs: 0 });
});

test("kelix serve holds against all", async () => {
  const results = await attackServer({
    url: `${server.url}/v1`,
    apiKey: "secret",
    otherKey: "other",
    patienceMs: 30_000,
    hugeBytes: 2 ** 24,
  });
  expect(results.filter(({ verdict }) => verdict === "failed")).toEqual([]);
  expect(results.map(({ name }) => name)).toEqual(attacks.map(({ name }) => name));
  expect(results.filter(({ verdict }) => verdict === "skipped").map(({ name }) => name)).toEqual(["dns-rebinding"]);
});
