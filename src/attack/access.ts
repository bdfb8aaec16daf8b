// Who may ask: keys on every route, pages of other sites, names that were made to point here, files beside the server.

import { leakIn } from "./complaints.ts";
import { type Attack, type Finding, failed, judge, skipped } from "./finding.ts";
import { CHAT, parseJson, type Reply, type Target } from "./target.ts";

/** Routes of OpenAI's API, and of servers that have left one or the other without a key. */
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
    if (target.isLocal)
      return skipped("no key was given, and the server is on this machine: give --api-key to try its keys");
    return failed("the server answers without a key, and others than this machine reach it");
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
  return judge(complaints, `all ${tried} routes that it has want the key`);
}

const EVIL = "https://evil.example";

async function crossOrigin(target: Target): Promise<Finding> {
  const read = async (path: string, headers: Record<string, string>, method: string) => {
    const reply = await target.send(path, { method, headers: { origin: EVIL, ...headers } });
    const allowed = reply.headers.get("access-control-allow-origin");
    const hasCredentials = reply.headers.get("access-control-allow-credentials") === "true";
    if (allowed === EVIL && hasCredentials)
      return `${method} ${path}: any page may ask as its visitor: the origin is echoed, with credentials`;
    if (allowed === EVIL) return `${method} ${path}: the origin of any page is echoed`;
    if (allowed === "*" && target.apiKey === undefined)
      return `${method} ${path}: every page may read the answers, and no key is wanted`;
    return undefined;
  };
  const preflight = { "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
  const complaints = [await read("/v1/models", {}, "GET"), await read(CHAT, preflight, "OPTIONS")];
  return judge(complaints, "pages of other origins may not read its answers");
}

async function rebinding(target: Target): Promise<Finding> {
  if (target.apiKey !== undefined) return skipped("a key is wanted, which a page of another site has not");
  if (!target.isLocal) return skipped("the server is not on this machine");
  const head = target.head("GET", "/v1/models", ["Connection: close"]).replace(/Host: [^\r]*/, "Host: evil.example");
  const { text } = await target.say(head, 5000);
  const isAnswered = /^HTTP\/1\.\d 200/.test(text);
  return judge(
    [
      isAnswered
        ? "a page whose name was made to point to this machine is answered as a program on it would be"
        : undefined,
    ],
    "the Host header of another name is refused",
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
      return /root:.*:0:0:/.test(text) ? `GET ${path}: gives a file of the machine` : undefined;
    }),
  );
  return judge(complaints, "no path leads to files of the machine");
}

async function unknownPlaces(target: Target): Promise<Finding> {
  const asked: readonly (readonly [what: string, reply: Reply])[] = [
    ["a route that is none", await target.send("/v1/none", { body: {} })],
    ["a model that is none", await target.chat("Hi", { model: "none/such" })],
    ["another method", await target.send(CHAT, { method: "PUT", body: {} })],
  ];
  const complaints = asked.map(([what, { status, text }]) => {
    const leak = leakIn(text);
    if (leak !== undefined) return `${what}: the answer has ${leak}`;
    if (status < 400 || status >= 500) return `${what}: status ${status}, wanted one of 400 to 499`;
    const isTold = typeof parseJson(text)?.error?.message === "string";
    return isTold ? undefined : `${what}: the answer has no { "error": { "message" } }`;
  });
  return judge(complaints, "each is refused in the form that clients read");
}

export const access: readonly Attack[] = [
  { name: "keys", about: "every route without a key, with a wrong one, with half of it", run: keys },
  { name: "cross-origin", about: "a page of another site that asks and reads", run: crossOrigin },
  { name: "dns-rebinding", about: "the name of another site in the Host header", run: rebinding },
  { name: "traversal", about: "paths with .. to files of the machine", run: traversal },
  { name: "unknown", about: "a route, a model and a method that are not there", run: unknownPlaces },
];
