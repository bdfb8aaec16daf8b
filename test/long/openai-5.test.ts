// Programs that were written for version 5 of OpenAI's client, against a running server.

import type OpenAI from "openai";
import OpenAI5 from "openai5";
import { afterAll, beforeAll } from "vitest";
import { openEngine } from "../../src/server/engine/engine.ts";
import { type HttpServer, listen } from "../../src/server/http/listen.ts";
import type { Engine } from "../../src/server/protocol.ts";
import { httpSettings } from "../http-app.ts";
import { describeOpenAI, MODEL } from "../openai-client.ts";

const KEY = "secret-key";
let engine: Engine;
let server: HttpServer;
beforeAll(async () => {
  engine = openEngine({ model: MODEL, load: { threads: 1 } });
  server = await listen({ engine, settings: httpSettings({ apiKeys: [KEY] }) }, { port: 0 });
  await engine.ready;
});
afterAll(async () => {
  await engine.close({ graceMs: 0 });
  await server.close();
});

describeOpenAI("5", OpenAI5 as unknown as typeof OpenAI, () => ({ baseURL: `${server.url}/v1`, apiKey: KEY }));
