// The HTTP side over a scripted engine, asked without a socket.

import { pino } from "pino";
import { createApp } from "../src/server/http/app.ts";
import { defaultLimits, type HttpSettings, type Limits } from "../src/server/http/settings.ts";
import { type Script, ScriptedEngine } from "./scripted-engine.ts";

export const silent = pino({ level: "silent" });

export function httpSettings({
  limits,
  ...settings
}: Partial<Omit<HttpSettings, "limits">> & { limits?: Partial<Limits> } = {}) {
  return {
    host: "127.0.0.1",
    apiKeys: [],
    corsOrigins: [],
    log: silent,
    logPrompts: false,
    ...settings,
    limits: { ...defaultLimits, ...limits },
  } satisfies HttpSettings;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came
  readonly json: any;
}

/** An app, its engine, and a short way to post to it. */
export function httpApp(settings: Parameters<typeof httpSettings>[0] = {}, script?: Script) {
  const engine = new ScriptedEngine(script);
  const app = createApp({ engine, settings: httpSettings(settings) });
  const ask = async (path: string, init?: RequestInit): Promise<Answer> => {
    const response = await app.request(`http://localhost${path}`, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson && text !== "" ? JSON.parse(text) : undefined,
    };
  };
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    ask(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  return { app, engine, ask, post };
}

/** The data of server-sent events. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came
export function eventsOf(text: string): any[] {
  return text
    .split("\n\n")
    .flatMap((block) => block.split("\n").filter((line) => line.startsWith("data: ")))
    .map((line) => line.slice("data: ".length))
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data));
}
