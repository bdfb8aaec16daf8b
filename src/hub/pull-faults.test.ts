// The server misbehaves. After each failure nothing half-written has a final name, and the next pull completes it.

import { inspect } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import {
  expectNothingHalfWritten,
  expectSnapshot,
  modelFiles,
  repo,
  shard,
  useHub,
} from "../../test/hub-repository.ts";
import { type Fault, HubServer, type Seen } from "../../test/hub-server.ts";
import type { PullWait } from "../files/transfer.ts";
import { pullModel } from "./pull.ts";
import type { HubSettings } from "./settings.ts";

const hub = useHub();
const pull = (more: Partial<HubSettings> = {}) => pullModel(repo, { settings: { ...hub.settings, ...more } });
const misbehave = (fault: (seen: Seen) => Fault | undefined) => {
  hub.server.options = { ...hub.server.options, fault };
};
/** Ranges that were asked for of the first shard. */
const ranges = () =>
  hub.server.seen.filter(({ at, path }) => at === "store" && path === shard).map(({ range }) => range);
const ofShard = (fault: Fault) => (seen: Seen) => (seen.at === "store" && seen.path === shard ? fault : undefined);

/** The pull fails as it should, and one from a server that behaves again completes it. */
async function expectFailure(message: RegExp, more: Partial<HubSettings> = {}): Promise<void> {
  const error: Error = await pull(more).then(
    () => expect.fail("it should have failed"),
    (error: Error) => error,
  );
  expect(error.message).toMatch(message);
  expect(error.message).not.toContain("\n");
  await expectNothingHalfWritten(hub.cacheFolder);
  hub.server.options = { repo, files: hub.server.options.files };
  await pull();
  await expectSnapshot(hub.cacheFolder, modelFiles);
}

describe("a connection", () => {
  test("that is cut again and again is taken up again where it was", async () => {
    misbehave(ofShard({ cutAfter: 30_000 }));
    await pull();
    await expectSnapshot(hub.cacheFolder, modelFiles);
    const wanted = Array.from({ length: 9 }, (_, i) => `bytes=${30_000 * (i + 1)}-`);
    expect(ranges()).toEqual([undefined, ...wanted]);
  });

  test("that dies half-way leaves the first half for the next pull", async () => {
    let isFirst = true;
    misbehave(({ at, path }) => {
      if (at !== "store" || path !== shard) return undefined;
      const fault = isFirst ? { cutAfter: 150_000 } : { cutAfter: 0 };
      isFirst = false;
      return fault;
    });
    await expect(pull()).rejects.toThrow(/the connection was cut|the connection to .* ended/);
    const [kept] = await expectNothingHalfWritten(hub.cacheFolder);
    expect(kept).toBeGreaterThan(0);
    hub.server.options = { repo, files: hub.server.options.files };
    hub.server.seen.length = 0;
    await pull();
    expect(ranges()).toEqual([`bytes=${kept}-`]);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("that ends early as if that were all is taken up again", async () => {
    misbehave((seen) => (seen.range ? undefined : ofShard({ endAfter: 1234 })(seen)));
    await pull();
    expect(ranges()).toEqual([undefined, "bytes=1234-"]);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("over which nothing comes any more is given up and taken up again", async () => {
    misbehave((seen) => (seen.range ? undefined : ofShard({ stallAfter: 5000 })(seen)));
    await pull({ stallMs: 1000 });
    // A machine that is busy elsewhere may be silent for so long by itself: there may be more.
    expect(ranges()).toContain("bytes=5000-");
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("that stays silent ends with a sentence", async () => {
    misbehave(ofShard({ stallAfter: 0 }));
    await expectFailure(/no data from 127\.0\.0\.1:\d+ for 0\.2 s/, { stallMs: 200 });
  });

  test("that nobody takes ends with a sentence", async () => {
    await hub.server.stop();
    await expect(pull()).rejects.toThrow(
      /^owner\/tiny: cannot be fetched from 127\.0\.0\.1:\d+: the connection was refused; nothing listens there \(ECONNREFUSED\)$/,
    );
  });
});

describe("a server that", () => {
  test("sends wrong bytes once is asked again for all of them", async () => {
    let count = 0;
    misbehave((seen) => (seen.path === shard && count++ === 0 ? { isWrong: true } : undefined));
    await pull();
    expect(ranges()).toEqual([undefined, undefined]);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("sends wrong bytes twice is named, and none of them are kept", async () => {
    misbehave(ofShard({ isWrong: true }));
    await expect(pull()).rejects.toThrow(/its hash is [0-9a-f]{64}, expected [0-9a-f]{64}, twice/);
    expect(await expectNothingHalfWritten(hub.cacheFolder)).not.toContain(300_000);
    await expectFailure(/twice/);
  });

  test("sends wrong bytes of a small file is found out too", async () => {
    misbehave(({ path }) => (path.endsWith("chat_template.jinja") ? { isWrong: true } : undefined));
    await expectFailure(
      /chat_template\.jinja: its hash is [0-9a-f]{40}, expected 3b18e512dba79e4c8300dd08aeb37f8e728b8dad/,
    );
  });

  test("ignores ranges gets the file whole all the same", async () => {
    let count = 0;
    misbehave((seen) =>
      seen.path === shard ? { ignoresRange: true, ...(count++ === 0 && { cutAfter: 200_000 }) } : undefined,
    );
    await pull();
    expect(ranges()).toHaveLength(2);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("sends another range than requested is rejected", async () => {
    misbehave((seen) =>
      seen.range ? { headers: { "Content-Range": "bytes 0-299999/300000" } } : ofShard({ cutAfter: 9999 })(seen),
    );
    await expectFailure(/sends another range than requested/);
  });

  test("has a file of another size than it listed is rejected", async () => {
    misbehave((seen) =>
      seen.range
        ? { headers: { "Content-Range": `${seen.range.replace("=", " ")}9/777` } }
        : ofShard({ cutAfter: 9999 })(seen),
    );
    await expectFailure(/sends 777 bytes, the listing says 300000/);
  });

  test("sends a login page in a file's place is rejected", async () => {
    misbehave(ofShard({ body: "<html>Please log in</html>", headers: { "Content-Type": "text/html" } }));
    await expectFailure(/sends \d+ bytes, the listing says 300000\. Is a proxy or a login page/);
  });

  test("sends a login page in the listing's place is rejected", async () => {
    misbehave(({ at }) => (at === "api" ? { body: "<html>Please log in</html>" } : undefined));
    await expectFailure(/cannot read the answer of http/);
  });

  test("sends more than there is is rejected", async () => {
    misbehave(ofShard({ extraBytes: 10 }));
    await expectFailure(/sends more bytes, the listing says 300000/);
  });

  test("is busy is asked again, not before it said", async () => {
    const times: number[] = [];
    misbehave(({ at, path }) => {
      if (at !== "api" || !path.includes("/tree/")) return undefined;
      times.push(performance.now());
      return times.length === 1 ? { status: 429, headers: { "Retry-After": "1" } } : undefined;
    });
    await pull();
    expect(times[1]! - times[0]!).toBeGreaterThan(900);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test.each([
    [{ RateLimit: '"resolvers";r=0;t=1' }, "api"],
    [{ RateLimit: '"resolvers";r=0;t=1' }, "file"],
    [
      { "Retry-After": new Date(Date.now() + 3000).toUTCString(), Date: new Date(Date.now() + 2000).toUTCString() },
      "store",
    ],
  ] as const)("says %j is left alone for so long, and the user told", async (headers, where) => {
    let first = 0;
    let second = 0;
    misbehave(({ at }) => {
      if (at !== where || second > 0) return undefined;
      if (first === 0) first = performance.now();
      else if (performance.now() - first > 900) second = performance.now();
      return second > 0 ? undefined : { status: 429, headers };
    });
    const waits: PullWait[] = [];
    await pullModel(repo, { settings: hub.settings, onWait: (wait) => waits.push(wait) });
    expect(second - first).toBeGreaterThan(900);
    // Files that come side by side are asked for one pause.
    expect(waits).toEqual([
      { message: expect.stringMatching(/127\.0\.0\.1:\d+ answered with status 429: asked to wait 1 s$/), waitMs: 1000 },
    ]);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("asks for an hour is waited for until the signal", async () => {
    misbehave(({ at }) => (at === "store" ? { status: 503, headers: { "Retry-After": "3600" } } : undefined));
    const controller = new AbortController();
    const reason = new Error("that is too long");
    const onWait = ({ message, waitMs }: PullWait) => {
      expect(message).toMatch(/status 503: asked to wait 1 h 0 min$/);
      expect(waitMs).toBe(3_600_000);
      setTimeout(() => controller.abort(reason), 50);
    };
    await expect(pullModel(repo, { settings: hub.settings, signal: controller.signal, onWait })).rejects.toBe(reason);
  });

  test.each(["gzip", "br", "deflate"] as const)("compresses everything (%s) is understood", async (encoding) => {
    misbehave(() => ({ encoding }));
    await pull();
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("compresses in a way that cannot be undone is named", async () => {
    misbehave(({ at }) => (at === "file" ? { encoding: "zstd" } : undefined));
    await expectFailure(/127\.0\.0\.1:\d+ sends it in a compression that is not supported/);
  });

  test.each([
    ["compresses ranges", { encoding: "gzip" }, 2],
    ["has no such range", { status: 416 }, 2],
    ["forbids ranges", { status: 403 }, 3],
  ] as const)("%s is asked for the whole file, and what is there is not taken twice", async (_, fault, asked) => {
    let isFirst = true;
    misbehave((seen) => {
      if (seen.range) return ofShard(fault)(seen);
      const answer = isFirst ? ofShard({ cutAfter: 200_000 })(seen) : undefined;
      isFirst &&= answer === undefined;
      return answer;
    });
    await pull();
    expect(ranges()).toHaveLength(asked + 1);
    expect(ranges().at(-1)).toBeUndefined();
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("stays busy ends with a sentence", async () => {
    misbehave(({ at }) => (at === "api" ? { status: 503 } : undefined));
    await expectFailure(/^owner\/tiny: 127\.0\.0\.1:\d+ answered with status 503$/);
  });

  test("rejects a signed address is asked for a new one", async () => {
    let count = 0;
    misbehave((seen) =>
      count++ === 0 || seen.at !== "store" ? undefined : count < 9 ? ofShard({ status: 403 })(seen) : undefined,
    );
    await pull();
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("redirects without end is rejected", async () => {
    misbehave(({ at, path }) => (at === "file" && path.endsWith(shard) ? { redirect: path } : undefined));
    await expectFailure(
      /model-00001-of-00002\.safetensors: cannot be fetched from 127\.0\.0\.1:\d+: it redirects without end/,
    );
  });

  test.each([
    [
      { status: 404, headers: { "X-Error-Code": "RepoNotFound" } },
      /there is no such repository at .* \(status 404\); if it is private, set HF_TOKEN/,
    ],
    [{ status: 404, headers: { "X-Error-Code": "RevisionNotFound" } }, /there is no such revision/],
    [{ status: 401, headers: { "X-Error-Code": "GatedRepo" } }, /request access on its page at http/],
    [{ status: 418 }, /answered with status 418/],
  ] as const)("answers with %j is not asked again", async (fault, message) => {
    misbehave(({ at }) => (at === "api" ? fault : undefined));
    await expect(pull()).rejects.toThrow(message);
    expect(hub.server.seen).toHaveLength(1);
  });

  test("lacks a file that it lists is rejected", async () => {
    const { "tokenizer.json": _, ...files } = hub.server.options.files;
    const entries = [{ type: "file", path: "tokenizer.json", size: 2, oid: "0".repeat(40) }];
    hub.server.options = { ...hub.server.options, files, entries };
    await expect(pull()).rejects.toThrow(/^tokenizer\.json: there is no such file at 127\.0\.0\.1/);
  });
});

describe("the token", () => {
  const token = "secret-of-a-mirror";
  let stranger: HubServer | undefined;
  afterEach(async () => {
    await stranger?.stop();
    stranger = undefined;
  });

  test("is sent to the Hub and to no store behind it", async () => {
    hub.server.options = { ...hub.server.options, token };
    await expect(pull()).rejects.toThrow("if it is private, set HF_TOKEN to a token that may read it");
    await expect(pull({ token: "wrong" })).rejects.toThrow("check that the token in HF_TOKEN may read it");
    hub.server.seen.length = 0;
    await pull({ token });
    await expectSnapshot(hub.cacheFolder, modelFiles);
    for (const { at, authorization } of hub.server.seen)
      expect(authorization, at).toBe(at === "store" ? undefined : `Bearer ${token}`);
    expect(hub.server.count("store")).toBeGreaterThan(0);
  });

  test.each(["two\nlines", "t\u00f6ken", "a blank"])(
    "that cannot be sent is rejected without being shown: %j",
    async (bad) => {
      const error: Error = await pull({ token: `SECRET${bad}` }).catch((error) => error);
      expect(error.message).toMatch(/^The token in HF_TOKEN, .* cannot be sent/);
      expect(inspect(error, { depth: 9 })).not.toContain("SECRET");
      expect(hub.server.seen).toEqual([]);
    },
  );

  test("gives way to a user name in the endpoint, which stays secret", async () => {
    const { host } = new URL(hub.server.endpoint);
    const endpoint = `http://user:SECRET@${host}`;
    await pull({ endpoint, token });
    await expectSnapshot(hub.cacheFolder, modelFiles);
    const basic = `Basic ${btoa("user:SECRET")}`;
    for (const { at, authorization } of hub.server.seen)
      expect(authorization, at).toBe(at === "store" ? undefined : basic);
    for (const fault of [{ status: 404 }, { body: "<html>" }, { redirect: `http://user:SECRET@${host}/x?SECRET` }]) {
      misbehave(() => fault);
      const error: Error = await pull({ endpoint, token }).catch((error) => error);
      expect(inspect(error, { depth: 9 })).not.toMatch(/SECRET|dXNlcjpTRUNSRVQ/);
    }
  });

  test("is not sent where the listing's next page leads to another host", async () => {
    stranger = await HubServer.start(hub.server.options);
    const nextPage = `${stranger.endpoint}/api/models/${repo}/tree/${stranger.commit}?cursor=2`;
    hub.server.options = { ...hub.server.options, token, nextPage };
    await pull({ token });
    expect(stranger.seen.length).toBeGreaterThan(0);
    for (const { authorization } of stranger.seen) expect(authorization).toBeUndefined();
  });

  test("is not sent where a file is redirected to another host that redirects on", async () => {
    stranger = await HubServer.start(hub.server.options);
    const { store } = hub.server;
    const strange = stranger;
    strange.options = { ...strange.options, fault: () => ({ redirect: `${store}/${shard}` }) };
    hub.server.options = {
      ...hub.server.options,
      token,
      fault: ({ at, path }) =>
        at === "file" && path.endsWith(shard) ? { redirect: `${strange.endpoint}/x` } : undefined,
    };
    await pull({ token });
    await expectSnapshot(hub.cacheFolder, modelFiles);
    expect(strange.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(hub.server.seen.filter(({ at }) => at === "store").every((seen) => seen.authorization === undefined)).toBe(
      true,
    );
  });
});
