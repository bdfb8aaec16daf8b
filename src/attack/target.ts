// The server under attack: ordinary requests with fetch, raw bytes over a socket.

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { InputError, quote } from "../errors.ts";

export interface TargetSettings {
  /** With or without "/v1". */
  readonly url: string;
  readonly apiKey?: string | undefined;
  /** Another user's. */
  readonly otherKey?: string | undefined;
  /** How long the server may take to give up on a partial request; 75 s if absent. */
  readonly patienceMs?: number | undefined;
  /** How long an answer of one token may take; 60 s if absent. */
  readonly answerMs?: number | undefined;
  /** More than any server should accept as a body; 128 MiB if absent. */
  readonly hugeBytes?: number | undefined;
}

export interface Reply {
  /** 0 if there was no answer; see `failure`. */
  readonly status: number;
  readonly headers: Headers;
  /** At most 64 KiB. */
  readonly text: string;
  readonly tookMs: number;
  /** Why there was no answer. */
  readonly failure?: "timeout" | "closed";
}

export interface Call {
  readonly method?: string;
  /** Sent as JSON unless it is bytes, a string or a form. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** `false` sends no key; a string replaces it. */
  readonly key?: string | false;
  readonly timeoutMs?: number;
}

export const CHAT = "/v1/chat/completions";

const MAX_TEXT = 65_536;
const ALIVE_MS = 15_000;

export class Target {
  readonly url: URL;
  readonly apiKey: string | undefined;
  readonly otherKey: string | undefined;
  readonly patienceMs: number;
  readonly answerMs: number;
  readonly hugeBytes: number;
  /** The id of a model that the server has. */
  model = "";

  private constructor({
    url,
    apiKey,
    otherKey,
    patienceMs = 75_000,
    answerMs = 60_000,
    hugeBytes = 2 ** 27,
  }: TargetSettings) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new InputError(`Expected the URL of a server, such as http://127.0.0.1:8080, got ${quote(url)}`);
    this.url = new URL(url);
    this.apiKey = apiKey;
    this.otherKey = otherKey;
    this.patienceMs = patienceMs;
    this.answerMs = answerMs;
    this.hugeBytes = hugeBytes;
  }

  /** Throws an InputError if no such server answers or the key is wrong. */
  static async open(settings: TargetSettings): Promise<Target> {
    const target = new Target(settings);
    const { status, text } = await target.send("/v1/models", { method: "GET" });
    if (status === 401 || status === 403)
      throw new InputError(`${target.url.host}: rejected the request (${status}); pass a valid key with --api-key`);
    const model = parseJson(text)?.data?.[0]?.id;
    if (status !== 200 || typeof model !== "string") {
      const got = status === 0 ? "no answer" : `status ${status}`;
      throw new InputError(
        `${target.url.host}: not a server with OpenAI's API: expected a list of models from /v1/models, got ${got}`,
      );
    }
    target.model = model;
    return target;
  }

  /** Whether the server is on a loopback address. */
  get isLocal(): boolean {
    return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(this.url.hostname);
  }

  /** Sends a request. Never throws; failures are in the reply. */
  async send(path: string, call: Call = {}): Promise<Reply> {
    const { method = "POST", body, headers = {}, key = this.apiKey, timeoutMs = this.answerMs } = call;
    const isRaw = typeof body === "string" || body instanceof Uint8Array || body instanceof FormData;
    const sent = {
      ...(body !== undefined && !(body instanceof FormData) && { "content-type": "application/json" }),
      ...(key !== undefined && key !== false && { authorization: `Bearer ${key}` }),
      ...headers,
    };
    const began = performance.now();
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(new URL(path, this.url), {
        method,
        headers: sent,
        signal,
        redirect: "manual",
        ...(body !== undefined && { body: (isRaw ? body : JSON.stringify(body)) as BodyInit }),
      });
      const text = await readStart(response);
      return { status: response.status, headers: response.headers, text, tookMs: performance.now() - began };
    } catch {
      const failure = signal.aborted ? "timeout" : "closed";
      return { status: 0, headers: new Headers(), text: "", tookMs: performance.now() - began, failure };
    }
  }

  /** Sends a conversation to be answered with one token. */
  chat(content: unknown, fields: object = {}, call: Call = {}): Promise<Reply> {
    const body = { model: this.model, messages: [{ role: "user", content }], max_tokens: 1, ...fields };
    return this.send(CHAT, { ...call, body });
  }

  /** Whether the server still answers, at the second attempt at the latest. */
  async isAlive(): Promise<boolean> {
    const ask = () => this.send("/v1/models", { method: "GET", timeoutMs: Math.min(ALIVE_MS, this.answerMs) });
    return (await ask()).status === 200 || (await ask()).status === 200;
  }

  /** A new connection. */
  async connect(): Promise<Socket> {
    const { hostname, port, protocol } = this.url;
    const host = hostname.replace(/^\[(.*)\]$/, "$1");
    const isTls = protocol === "https:";
    const at = { host, port: Number(port || (isTls ? 443 : 80)) };
    const socket = isTls ? connectTls({ ...at, servername: host }) : connectTcp(at);
    socket.on("error", () => undefined); // the server may close it at any time
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? "secureConnect" : "connect", resolve);
      socket.once("error", reject);
    });
    return socket;
  }

  /** The headers of a request. */
  head(method: string, path: string, lines: readonly string[] = []): string {
    const key = this.apiKey === undefined ? [] : [`Authorization: Bearer ${this.apiKey}`];
    return [`${method} ${path} HTTP/1.1`, `Host: ${this.url.host}`, ...key, ...lines, "", ""].join("\r\n");
  }

  /** Sends bytes on a new connection and returns what arrives until the server closes it or time is up. */
  async say(
    text: string | Uint8Array,
    timeoutMs: number,
  ): Promise<{ readonly text: string; readonly isClosed: boolean }> {
    const socket = await this.connect();
    let heard = "";
    socket.on("data", (piece) => {
      if (heard.length < MAX_TEXT) heard += piece.toString("latin1");
    });
    socket.write(text);
    const isClosed = await closes(socket, timeoutMs);
    socket.destroy();
    return { text: heard, isClosed };
  }
}

/** Whether the server closes a connection in time. */
export function closes(socket: Socket, timeoutMs: number): Promise<boolean> {
  if (socket.destroyed || socket.readableEnded) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    for (const event of ["end", "close"])
      socket.once(event, () => {
        clearTimeout(timer);
        resolve(true);
      });
    socket.resume();
  });
}

// biome-ignore lint/suspicious/noExplicitAny: whatever a server says
export function parseJson(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readStart(response: Response): Promise<string> {
  const reader = response.body
    ?.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let text = "";
  while (reader && text.length < MAX_TEXT) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  await reader?.cancel().catch(() => undefined);
  return text.slice(0, MAX_TEXT);
}
