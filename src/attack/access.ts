// Access: keys on every route, pages of other origins, DNS rebinding, path traversal.

import { leakIn } from "./complaints.ts";
import { type Attack, type Finding, failed, judge, skipped } from "./finding.ts";
import { CHAT, parseJson, type Reply, type Target } from "./target.ts";

/** Routes of OpenAI's API, and routes that other servers have left open. */
const routes: readonly (readonly [method: string, path: string])[] = [
  ["GET", "/v1/models"],
  ["POST", CHAT],
  ...[
    "completions",
    "responses",
    "embeddings",
    "images/generations",
    "images/edits",
    "images/tokenize",
    "images/detokenize",
  ].map((path) => ["POST", `/v1/${path}`] as const),
  ...["audio/transcriptions", "audio/speech", "score", "rerank", "load_lora_adapter", "unload_lora_adapter"].map(
    (path) => ["POST", `/v1/${path}`] as const,
  ),
  ...[
    "tokenize",
    "detokenize",
    "invocations",
    "generate",
    "pause",
    "resume",
    "sleep",
    "wake_up",
    "reset_prefix_cache",
  ].map((path) => ["POST", `/${path}`] as const),
  ...["completion", "embedding", "infill", "apply-template"].map((path) => ["POST", `/${path}`] as const),
  ...["metrics", "slots", "props", "server_info", "get_model_info", "collective_rpc"].map(
    (path) => ["GET", `/${path}`] as const,
  ),
];

const isRefusal = ({ status }: Reply) => status === 401 || status === 403;
const isThere = ({ status, failure }: Reply) => failure === undefined && ![404, 405, 410, 501].includes(status);

async function keys(target: Target): Promise<Finding> {
  if (target.apiKey === undefined) {
    if (target.isLocal) return skipped("no key was given and the server is local; pass --api-key to test its keys");
    return failed("the server requires no key although other machines can reach it");
  }
  const wrong: readonly (readonly [what: string, key: string | false])[] = [
    ["without a key", false],
    ["with a wrong key", `${target.apiKey}x`],
    ["with the first half of the key", target.apiKey.slice(0, Math.ceil(target.apiKey.length / 2) - 1) || "x"],
  ];
  const complaints: string[] = [];
  let tried = 0;
  for (const [method, path] of routes) {
    const call = { method, ...(method === "POST" && { body: {} }) };
    if (!isThere(await target.send(path, call))) continue;
    tried++;
    for (const [what, key] of wrong) {
      const reply = await target.send(path, { ...call, key });
      if (!isRefusal(reply)) complaints.push(`${method} ${path} ${what}: status ${reply.status}`);
    }
  }
  return judge(complaints, `all ${tried} existing routes require the key`);
}

const EVIL = "https://evil.example";

async function crossOrigin(target: Target): Promise<Finding> {
  const read = async (path: string, headers: Record<string, string>, method: string) => {
    const reply = await target.send(path, { method, headers: { origin: EVIL, ...headers } });
    const allowed = reply.headers.get("access-control-allow-origin");
    const hasCredentials = reply.headers.get("access-control-allow-credentials") === "true";
    if (allowed === EVIL && hasCredentials)
      return `${method} ${path}: any web page can send requests as its visitor: the origin is echoed, with credentials`;
    if (allowed === EVIL) return `${method} ${path}: the origin of any web page is echoed`;
    if (allowed === "*" && target.apiKey === undefined)
      return `${method} ${path}: any web page can read the answers, and no key is required`;
    return undefined;
  };
  const preflight = { "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
  const complaints = [await read("/v1/models", {}, "GET"), await read(CHAT, preflight, "OPTIONS")];
  return judge(complaints, "pages of other origins cannot read answers");
}

async function rebinding(target: Target): Promise<Finding> {
  if (target.apiKey !== undefined) return skipped("the server requires a key, which pages of other sites do not have");
  if (!target.isLocal) return skipped("the server is not on this machine");
  const head = target.head("GET", "/v1/models", ["Connection: close"]).replace(/Host: [^\r]*/, "Host: evil.example");
  const { text } = await target.say(head, 5000);
  const isAnswered = /^HTTP\/1\.\d 200/.test(text);
  return judge(
    [isAnswered ? "a page whose host name was rebound to this machine gets answers like a local program" : undefined],
    "other names in the Host header are rejected",
  );
}

async function traversal(target: Target): Promise<Finding> {
  const paths = [
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static/..%2f..%2f..%2fetc/passwd",
    "//etc/passwd",
  ];
  const complaints = await Promise.all(
    paths.map(async (path) => {
      const { text } = await target.say(target.head("GET", path, ["Connection: close"]), 5000);
      return /root:.*:0:0:/.test(text) ? `GET ${path}: returns a file of the machine` : undefined;
    }),
  );
  return judge(complaints, "no path returns files of the machine");
}

async function unknownPlaces(target: Target): Promise<Finding> {
  const asked: readonly (readonly [what: string, reply: Reply])[] = [
    ["an unknown route", await target.send("/v1/none", { body: {} })],
    ["an unknown model", await target.chat("Hi", { model: "none/such" })],
    ["a wrong method", await target.send(CHAT, { method: "PUT", body: {} })],
  ];
  const complaints = asked.map(([what, { status, text }]) => {
    const leak = leakIn(text);
    if (leak !== undefined) return `${what}: the answer contains ${leak}`;
    if (status < 400 || status >= 500) return `${what}: status ${status}, expected 4xx`;
    const isTold = typeof parseJson(text)?.error?.message === "string";
    return isTold ? undefined : `${what}: the answer has no { "error": { "message" } }`;
  });
  return judge(complaints, "each is rejected with an error that clients can read");
}

export const access: readonly Attack[] = [
  { name: "keys", about: "every route without a key, with a wrong key, with half a key", run: keys },
  { name: "cross-origin", about: "requests from a web page of another origin", run: crossOrigin },
  { name: "dns-rebinding", about: "another site's name in the Host header", run: rebinding },
  { name: "traversal", about: "paths with .. that lead to files", run: traversal },
  { name: "unknown", about: "an unknown route, model and method", run: unknownPlaces },
];
