// A small server of OpenAI's API with faults that real ones have had, each to be switched on. Without any it holds against every attack.

import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export const faults = [
  "open-route",
  "half-key",
  "echoes-origin",
  "any-host",
  "reads-paths",
  "bare-404",
  "library-text",
  "numbers-500",
  "many-answers",
  "deep-json",
  "no-context-limit",
  "special-tokens",
  "waits-for-terabyte",
  "takes-everything",
  "unpacks",
  "fetches-urls",
  "accepts-files",
  "image-hangs",
  "many-images",
  "slow-clients-stop-others",
  "waits-forever",
  "crowd-500",
  "follows-redirects",
  "waits-for-images",
  "takes-endless-images",
  "shares-cache",
  "waits-for-readers",
] as const;
export type Fault = (typeof faults)[number];

const LIMIT = 2 ** 22;
/** Longer than a busy machine may stand still. */
const IDLE_MS = 4000;
/** Another user's. */
export const OTHER_KEY = "other";
const routes = ["/v1/chat/completions", "/v1/images/generations", "/v1/embeddings", "/tokenize"];

export interface BrokenServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Begins to listen; `key` is wanted on every route if there is one. The fault numbers-500 shows so many `times`. */
export async function breakServer(
  fault: Fault | undefined,
  key: string | undefined,
  times = Number.POSITIVE_INFINITY,
): Promise<BrokenServer> {
  const has = (name: Fault) => fault === name;
  const waits = has("waits-forever") || has("waits-for-terabyte") || has("takes-everything");
  let running = 0;
  let errors = 0;
  let slow = 0;
  let unread = 0;
  const seen = new Set<string>();
  const server: Server = createServer(
    {
      maxHeaderSize: 16_384,
      headersTimeout: waits ? 0 : IDLE_MS,
      requestTimeout: waits ? 0 : IDLE_MS,
      connectionsCheckingInterval: 100,
    },
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  );

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const say = (status: number, body: unknown, headers: Record<string, string> = {}) => {
      if (response.headersSent) return;
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
    };
    const refuse = (status: number, message: string) =>
      say(status, { error: { message, type: "x", param: null, code: null } });
    const { origin, host, authorization = "" } = request.headers;
    if (has("echoes-origin") && origin) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-allow-credentials", "true");
    }
    if (key === undefined && !has("any-host") && !/^127\.0\.0\.1(:\d+)?$/.test(host ?? ""))
      return refuse(403, "another host");
    if (has("reads-paths") && /passwd/.test(path)) {
      response.end("root:x:0:0:root:/root:/bin/sh\n");
      return;
    }
    const isOpen = has("open-route") && path === "/tokenize";
    const isOther = key !== undefined && authorization === `Bearer ${OTHER_KEY}`;
    const isKey = has("half-key")
      ? `Bearer ${key}`.startsWith(authorization) && authorization.length > 8
      : authorization === `Bearer ${key}`;
    if (key !== undefined && !isKey && !isOther && !isOpen) return refuse(401, "no key");
    if (has("slow-clients-stop-others") && slow > 10) return;
    if (path === "/v1/models" && request.method === "GET") return say(200, { data: [{ id: "broken" }] });
    if (!routes.includes(path))
      return has("bare-404") ? void response.writeHead(404).end("not found") : refuse(404, "no such route");
    if (request.method !== "POST") return refuse(405, "only POST");
    const length = Number(request.headers["content-length"] ?? 0);
    if (length > LIMIT && !has("waits-for-terabyte")) return refuse(413, "too long");
    if (request.headers["content-encoding"] && !has("unpacks")) return refuse(415, "unpack it first");
    if (request.headers["content-encoding"]) return say(200, { choices: [] });
    slow++;
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of request) {
      size += piece.length;
      if (size <= LIMIT) pieces.push(piece);
      else if (!has("takes-everything")) return refuse(413, "too long");
    }
    slow--;
    if (!/^application\/json\s*(;|$)/.test(request.headers["content-type"] ?? "")) return refuse(415, "JSON is wanted");
    if (/utf-7/.test(request.headers["content-type"] ?? "")) return refuse(415, "UTF-8 is wanted");
    const text = Buffer.concat(pieces).toString();
    if (has("deep-json") && text.startsWith("[[[")) return refuse(500, "too deep");
    // biome-ignore lint/suspicious/noExplicitAny: a test double
    let body: any;
    try {
      body = JSON.parse(text);
    } catch (error) {
      return refuse(400, has("library-text") ? String((error as Error).stack) : "not JSON");
    }
    if (has("crowd-500") && ++running > 8) return refuse(500, "busy");
    await new Promise((resolve) => setTimeout(resolve, has("crowd-500") ? 100 : 1));
    running--;
    if (has("numbers-500") && body?.seed > 2 ** 60 && ++errors <= times) return refuse(500, "went wrong");
    if (body?.n > 10)
      return has("many-answers") ? void setTimeout(() => say(200, {}), 60_000).unref() : refuse(400, "n is too large");
    if (body?.model !== undefined && body.model !== "broken") return refuse(404, "no such model");
    if (!Array.isArray(body?.messages)) return refuse(400, "no messages");
    const { content } = body.messages[0] ?? {};
    const images = Array.isArray(content) ? content.filter((part) => part?.type === "image_url") : [];
    if (images.length > 16 && !has("many-images")) return refuse(400, "too many images");
    const url = String(images[0]?.image_url?.url ?? "");
    if (has("fetches-urls") && url.startsWith("http://127.0.0.1")) {
      await new Promise((resolve) => httpRequest(url, resolve).on("error", resolve).end());
    }
    if (has("follows-redirects") && url.startsWith("http:") && new URL(url).hostname !== "127.0.0.1") {
      await fetch(url).catch(() => undefined);
    }
    if (has("waits-for-images") || has("takes-endless-images")) {
      if (url.startsWith("http:")) await fetch(url).then((image) => image.arrayBuffer());
    }
    if (has("image-hangs") && url.length > 20_000) return; // a bomb
    const isGood = /^data:image\/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABA/.test(url); // 64 x 64
    if (images.length > 0 && !isGood && !(has("accepts-files") && url.startsWith("file:")))
      return refuse(400, "no image");
    if (isGood && Buffer.from(url.split(",")[1]!, "base64").length < 70) return refuse(400, "no image"); // cut
    const words = typeof content === "string" ? content : "";
    if (words.length > 100_000 && !has("no-context-limit")) return refuse(400, "too long");
    if (has("waits-for-readers") && unread >= 8) return;
    if (body.stream) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      unread++;
      for (let i = 0; has("waits-for-readers") && i < 1000; i++) {
        if (!response.write("x".repeat(65_536))) await new Promise((resolve) => response.once("drain", resolve));
      }
      unread--;
      return void response.end("data: [DONE]\n\n");
    }
    const owner = has("shares-cache") ? "" : authorization;
    const isCached = seen.has(`${owner} ${words}`);
    seen.add(`${owner} ${words}`);
    const tokens = has("special-tokens") ? words.replaceAll(/<\|im_end\|>/g, "x").length : words.length;
    say(200, {
      choices: [{ index: 0, message: { role: "assistant", content: "a" } }],
      usage: { prompt_tokens: tokens, prompt_tokens_details: { cached_tokens: isCached ? tokens : 0 } },
    });
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
