// What stands in a request: numbers without sense, shapes that no client sends, bodies without end.

import { gzipSync } from "node:zlib";
import { complain, complainUnlessRefused } from "./complaints.ts";
import { type Attack, type Finding, failed, held, judge, skipped } from "./finding.ts";
import { CHAT, parseJson, type Target } from "./target.ts";

const IMAGES = "/v1/images/generations";

/** Refusing needs no model, and so no time. */
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
  ["lists in lists, 100,000 deep", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ["a field __proto__", '{"__proto__": {"n": 5}, "constructor": {"prototype": {"x": 1}}, "messages": 5}'],
  ["a number of 100,000 digits", `{"messages": "x", "seed": ${"9".repeat(100_000)}}`],
  ["bytes that are no text", "\u0000\u0001\uffff"],
  ["nothing", ""],
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
  return judge(complaints, `${extremes.length + sizes.length} values without sense: each was refused, or harmless`);
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
  return judge(complaints, "a billion answers are refused at once");
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
    complaints.push(complainUnlessRefused(`the type ${type}`, reply));
  }
  return judge(
    complaints,
    `${shapes.length + texts.length + types.length} bodies that no client sends: each was refused, or harmless`,
  );
}

async function longConversation(target: Target): Promise<Finding> {
  const reply = await target.chat("word ".repeat(400_000));
  return judge([complainUnlessRefused("2 MB of text", reply)], "a conversation beyond every context is refused");
}

/** Sends bytes without saying how many until the server stops taking them. */
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
  if (sent < target.hugeBytes) return held(`it stopped taking a body without end before ${megabytes(sent + 2 ** 20)}`);
  return failed(`it took ${megabytes(sent)} of a body without end, and would take more`);
}

async function statedLength(target: Target): Promise<Finding> {
  const head = target.head("POST", CHAT, ["Content-Type: application/json", "Content-Length: 1000000000000"]);
  const { text, isClosed } = await target.say(`${head}{`, REFUSAL_MS);
  if (text !== "" || isClosed) return held("a body that is said to have a terabyte is refused before it comes");
  return failed("it waits for a body that is said to have a terabyte");
}

async function packedBody(target: Target): Promise<Finding> {
  const packed = new Uint8Array(gzipSync(Buffer.alloc(target.hugeBytes, " ")));
  const reply = await target.send(CHAT, { body: packed, headers: { "content-encoding": "gzip" } });
  return judge(
    [complainUnlessRefused("a body that unpacks to a thousand times its size", reply)],
    "a packed body is refused",
  );
}

const specials = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>"];
const REPEATS = 20;

/** Text that reads as a mark of the template must be spelled in several tokens, and not be one. */
async function specialTokens(target: Target): Promise<Finding> {
  const count = async (content: string) =>
    parseJson((await target.chat(content)).text)?.usage?.prompt_tokens as unknown;
  const plain = await count("a");
  if (typeof plain !== "number") return skipped("the server does not tell how many tokens a prompt has");
  const complaints: string[] = [];
  for (const special of specials) {
    const found = await count(`a${special.repeat(REPEATS)}`);
    if (typeof found !== "number" || found - plain > REPEATS + 1) continue;
    complaints.push(
      `${special} in a user's text counts as one token, as the mark itself: a user can write turns of others`,
    );
  }
  return judge(complaints, "marks of the template in a user's text are spelled as text");
}

function excerptOf(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export const bodies: readonly Attack[] = [
  { name: "numbers", about: 'temperature 1e-30, seed 2^80, stop [""], size 1e9x1 and others', run: numbers },
  { name: "many-answers", about: "n 1e9", run: manyAnswers },
  { name: "shapes", about: "bodies of other forms and types, JSON 100,000 deep, __proto__", run: oddShapes },
  { name: "long-prompt", about: "a conversation of 2 MB", run: longConversation },
  { name: "special-tokens", about: "marks of the chat template in a user's text", run: specialTokens },
  { name: "stated-length", about: "a body that is said to have a terabyte", run: statedLength },
  { name: "packed-body", about: "a body in gzip that unpacks to far more", run: packedBody },
  { name: "endless-body", about: "a body without a length and without an end", run: endlessBody },
];
