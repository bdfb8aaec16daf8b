// Corpus jobs and the Hub: names of shards, what lies in the queue and beside outputs, listings, answers that stream.

import { readEvents } from "../../../src/ai-sdk/read-events.ts";
import { parseJson } from "../../../src/checkpoint/strict-json.ts";
import { FetchError } from "../../../src/errors.ts";
import { isPlainPath } from "../../../src/files/hub-name.ts";
import { readListing } from "../../../src/hub/listing.ts";
import { encodeManifest, type Manifest, parseManifest } from "../../../src/jobs/manifest.ts";
import { expandBraces } from "../../../src/jobs/patterns.ts";
import { parseShard } from "../../../src/jobs/shard.ts";
import { parseLocation } from "../../../src/jobs/storage.ts";
import { json, same, type Target, utf8 } from "../target.ts";

const hash = "0".repeat(64);
const manifest: Manifest = {
  format: "kelix-shard",
  version: "0.1.0",
  task: "tokenize",
  options: { seed: 1 },
  input: { name: "000.tar", sha256: hash },
  model: { sha256: hash },
  output: { name: "000.safetensors", bytes: 9, sha256: hash },
  counts: { items: 2, done: 1, bad: 1 },
  bad: [{ index: 1, key: "0001", code: "invalid_image", reason: "it is no image" }],
};
const shard = { input: "s3://corpus/000.tar", name: "000", output: "/codes", model: "kelix-nano" };

const commit = "0123456789abcdef0123456789abcdef01234567";
const listed = [
  { type: "file", path: "config.json", size: 2, oid: commit },
  { type: "directory", path: "dit", size: 0, oid: commit },
  {
    type: "file",
    path: "dit/model.safetensors",
    size: 130,
    oid: commit,
    lfs: { oid: hash, size: 9, pointerSize: 130 },
  },
];

export const jobTargets: readonly Target[] = [
  {
    name: "shard-pattern",
    kind: "memory",
    seeds: async () =>
      ["s3://corpus/{000..029}.tar", "/data/{train,test}/{0..9}.parquet", "file:///a/{a,b}", "plain.tar"].map(utf8),
    run(bytes) {
      const pattern = new TextDecoder().decode(bytes);
      const names = expandBraces(pattern);
      if (names.slice(0, 1000).some((name) => /[{}]/.test(name))) throw new Error("braces are left");
      for (const name of names.slice(0, 20)) {
        const location = parseLocation(name);
        same(parseLocation(location), location, "a location and its own name");
      }
    },
  },
  {
    name: "shard-manifest",
    kind: "memory",
    seeds: async () => [encodeManifest(manifest)],
    run(bytes) {
      const found = parseManifest(bytes, "000.manifest.json");
      same(parseManifest(encodeManifest(found), "m"), found, "what is written and read again");
    },
  },
  {
    name: "queued-shard",
    kind: "memory",
    seeds: async () =>
      [
        { task: "tokenize", options: {}, ...shard },
        { task: "describe", options: { prompt: "What?", maxNewTokens: 9, temperature: 0, seed: 1 }, ...shard },
        { task: "reconstruct", options: { steps: 4, guidance: 2, keepSize: true }, ...shard },
      ].map(json),
    run: (bytes) => parseShard(parseJson(bytes, "job")),
  },
  {
    // The commit, a page of entries, and where the next page is, a line each. They pass through fetch's own objects.
    name: "hub-listing",
    kind: "open",
    seeds: async () => [
      utf8(`${JSON.stringify({ _id: "1", id: "a/b", sha: commit, private: false })}\n${JSON.stringify(listed)}\n`),
      utf8(
        `${JSON.stringify({ id: "a/b", sha: commit })}\n${JSON.stringify(listed.slice(0, 1))}\n` +
          '<https://hub.example/api/models/a/b/tree/main?cursor=x>; rel="next"',
      ),
    ],
    async run(bytes) {
      const [info = "", page = "", link = ""] = new TextDecoder().decode(bytes).split("\n");
      const next = link.replace(/[^\x20-\x7e]/g, "");
      const answers = [new Response(info), new Response(page, { headers: next ? { link: next } : {} })];
      const { wanted, leftOut } = await withFetch(
        async () => answers.shift() ?? new Response("[]"),
        () => readListing(settings, { repo: "a/b", revision: "main" }, (path) => path.endsWith(".json")),
      );
      for (const { path } of [...wanted, ...leftOut])
        if (!isPlainPath(path)) throw new Error("a path leads out of the folder");
    },
  },
  {
    name: "answer-events",
    kind: "memory",
    seeds: async () => [
      utf8('data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'),
      utf8('event: error\r\ndata: {"error":\r\ndata: {"message":"no"}}\r\n\r\n: a comment\n\nid: 1\ndata:\n\n'),
    ],
    async run(bytes) {
      try {
        for await (const _ of readEvents(new Response(Uint8Array.from(bytes))));
      } catch (error) {
        // The provider makes an error of the AI SDK of it.
        if (error instanceof SyntaxError) throw new FetchError("The answer is not JSON");
        throw error;
      }
    },
  },
];

const settings = {
  endpoint: "https://hub.example",
  cacheFolder: "/nonexistent",
  stallMs: 10_000,
  backoffMs: 1,
  isOffline: false,
};

/** The global fetch answers so while something runs. */
async function withFetch<T>(answer: typeof fetch, work: () => Promise<T>): Promise<T> {
  const own = globalThis.fetch;
  globalThis.fetch = answer;
  try {
    return await work();
  } finally {
    globalThis.fetch = own;
  }
}
