// Request bodies: absurd numbers, malformed fields, endless bytes.

import { gzipSync } from "node:zlib";
import { complain, complainUnlessRefused } from "./complaints.ts";
import { type Attack, type Finding, failed, held, judge, skipped } from "./finding.ts";
import { CHAT, parseJson, type Target } from "./target.ts";

const IMAGES = "/v1/images/generations";

/** Rejecting needs no model, so it is fast. */
const REFUSAL_MS = 3000;

const extremes: readonly object[] = [
  ...[1e-30, -1, 1e300, "hot", null, []].map((temperature) => ({ temperature })),
  ...[0, -1, 2, "x"].map((top_p) => ({ top_p })),
  ...[-5, 1e12, 0.5].map((top_k) => ({ top_k })),
  ...[2 ** 80, -1, 0.5, "x"].map((seed) => ({ seed })),
  ...[-1, 0, 0.5, "many"].map((max_tokens) => ({ max_tokens })),
  ...[[""], [], "", [1], Array.from({ length: 10_000 }, (_, i) => `s${i}`)].map((stop) => ({ stop })),
  ...[-1, 0, 1.5, "x"].map((n) => ({ n })),
  { logprobs: true, top_logprobs: 1e9 },
  { stream: "maybe" },
  { stream_options: 5 },
  { model: { id: "x" } },
  { modalities: ["smell"] },
  { modalities: "text" },
  { response_format: { type: "json_schema", json_schema: { name: "x", schema: { pattern: "(a+)+$" } } } },
  { tools: [{ type: "function", function: { name: "x".repeat(10_000), parameters: { $ref: "#" } } }] },
  { chat_template: "{% for i in range(1000000000) %}x{% endfor %}" },
  { chat_template_kwargs: { tokenize: true } },
  { logit_bias: { "-1": 1e300 } },
  { metadata: { ["x".repeat(1000)]: {} } },
];

const shapes: readonly unknown[] = [
  ...[null, [], {}, "x", 5, [null], [[]], [{}], [{ role: "x", content: "" }], [{ role: "user" }]].map((messages) => ({
    messages,
  })),
  { messages: [{ role: "user", content: [{ type: "text" }] }] },
  { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: 5 } }] }] },
  { messages: [{ role: "user", content: [null] }] },
  { messages: [{ role: "user", content: "\ud800" }] },
  { messages: [{ role: "tool", tool_call_id: "x", content: "x" }] },
];

const texts: readonly (readonly [what: string, body: string])[] = [
  ["half of a JSON object", '{"model": "x", "messages": ['],
  ["lists nested 100,000 deep", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ["a field __proto__", '{"__proto__": {"n": 5}, "constructor": {"prototype": {"x": 1}}, "messages": 5}'],
  ["a number of 100,000 digits", `{"messages": "x", "seed": ${"9".repeat(100_000)}}`],
  ["bytes that are not text", "\u0000\u0001\uffff"],
  ["an empty body", ""],
];

async function numbers(target: Target): Promise<Finding> {
  const complaints: (string | undefined)[] = [];
  for (const fields of extremes)
    complaints.push(complain(excerptOf(fields), await target.chat("Hi", { max_tokens: 1, ...fields })));
  const sizes = ["1e9x1", "-1x-1", "999999x999999", "x", ""];
  for (const size of sizes)
    complaints.push(
      complain(`size ${JSON.stringify(size)}`, await target.send(IMAGES, { body: { prompt: "", size } })),
    );
  return judge(complaints, `${extremes.length + sizes.length} absurd values: each was rejected or harmless`);
}

async function manyAnswers(target: Target): Promise<Finding> {
  const complaints: (string | undefined)[] = [];
  for (const [path, body] of [
    [CHAT, { model: target.model, messages: [{ role: "user", content: "Hi" }], max_tokens: 1, n: 1e9 }],
    [IMAGES, { model: target.model, prompt: "x", n: 1e9 }],
  ] as const) {
    const reply = await target.send(path, { body, timeoutMs: REFUSAL_MS });
    complaints.push(complainUnlessRefused(`${path} with n 1e9`, reply));
  }
  return judge(complaints, "a request for a billion answers is rejected at once");
}

async function oddShapes(target: Target): Promise<Finding> {
  const complaints: (string | undefined)[] = [];
  for (const shape of shapes) {
    const body = { model: target.model, max_tokens: 1, ...(shape as object) };
    complaints.push(complain(excerptOf(shape), await target.send(CHAT, { body })));
  }
  for (const [what, body] of texts) complaints.push(complainUnlessRefused(what, await target.send(CHAT, { body })));
  const types = [
    "text/plain",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-7",
    "x",
  ];
  for (const type of types) {
    const reply = await target.send(CHAT, { body: "x=1", headers: { "content-type": type } });
    complaints.push(complainUnlessRefused(`content type ${type}`, reply));
  }
  return judge(
    complaints,
    `${shapes.length + texts.length + types.length} malformed bodies: each was rejected or harmless`,
  );
}

async function longConversation(target: Target): Promise<Finding> {
  const reply = await target.chat("word ".repeat(400_000));
  return judge([complainUnlessRefused("2 MB of text", reply)], "a conversation beyond any context is rejected");
}

/** Sends a chunked body until the server stops reading. */
async function endlessBody(target: Target): Promise<Finding> {
  const socket = await target.connect();
  let answer = "";
  socket.on("data", (piece) => {
    answer += piece.toString("latin1");
  });
  socket.write(target.head("POST", CHAT, ["Content-Type: application/json", "Transfer-Encoding: chunked"]));
  const piece = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(65_536, " "), Buffer.from("\r\n")]);
  let sent = 0;
  const until = performance.now() + target.answerMs;
  while (sent < target.hugeBytes && answer === "" && !socket.destroyed && performance.now() < until) {
    const isTaken = socket.write(piece);
    sent += piece.length;
    if (!isTaken) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), pause(1000)]);
    else await pause(0);
  }
  socket.destroy();
  const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  if (sent < target.hugeBytes) return held(`it stopped reading an endless body within ${megabytes(sent + 2 ** 20)}`);
  return failed(`it read ${megabytes(sent)} of an endless body and would have read more`);
}

async function statedLength(target: Target): Promise<Finding> {
  const head = target.head("POST", CHAT, ["Content-Type: application/json", "Content-Length: 1000000000000"]);
  const { text, isClosed } = await target.say(`${head}{`, REFUSAL_MS);
  if (text !== "" || isClosed) return held("a body declared as 1 TB is rejected before it arrives");
  return failed("it waits for a body declared as 1 TB");
}

async function packedBody(target: Target): Promise<Finding> {
  const packed = new Uint8Array(gzipSync(Buffer.alloc(target.hugeBytes, " ")));
  const reply = await target.send(CHAT, { body: packed, headers: { "content-encoding": "gzip" } });
  return judge(
    [complainUnlessRefused("a compressed body that expands a thousandfold", reply)],
    "a compressed body is rejected",
  );
}

const specials = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>"];
const REPEATS = 20;

/** A special token's name in a user's text must be encoded as ordinary text: several tokens, not one. */
async function specialTokens(target: Target): Promise<Finding> {
  const count = async (content: string) =>
    parseJson((await target.chat(content)).text)?.usage?.prompt_tokens as unknown;
  const plain = await count("a");
  if (typeof plain !== "number") return skipped("the server does not report prompt tokens");
  const complaints: string[] = [];
  for (const special of specials) {
    const found = await count(`a${special.repeat(REPEATS)}`);
    if (typeof found !== "number" || found - plain > REPEATS + 1) continue;
    complaints.push(`${special} in a user's text counts as one token: a user can forge turns of the conversation`);
  }
  return judge(complaints, "special tokens in a user's text are encoded as text");
}

function excerptOf(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export const bodies: readonly Attack[] = [
  { name: "numbers", about: 'temperature 1e-30, seed 2^80, stop [""], size 1e9x1 and more', run: numbers },
  { name: "many-answers", about: "n 1e9", run: manyAnswers },
  { name: "shapes", about: "malformed bodies, wrong content types, JSON 100,000 deep, __proto__", run: oddShapes },
  { name: "long-prompt", about: "a conversation of 2 MB", run: longConversation },
  { name: "special-tokens", about: "special tokens in a user's text", run: specialTokens },
  { name: "stated-length", about: "a body declared as 1 TB", run: statedLength },
  { name: "packed-body", about: "a gzip body that expands a thousandfold", run: packedBody },
  { name: "endless-body", about: "a body without length or end", run: endlessBody },
];
