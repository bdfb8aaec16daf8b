// kelix attack finds every planted fault of a broken server, nothing in the same server without faults, and nothing in ours (test/long/attack.test.ts).

import { describe, expect, test } from "vitest";
import { type AttackResult, attackServer } from "../../src/attack/attack.ts";
import { leakIn } from "../../src/attack/complaints.ts";
import { breakServer, type Fault, faults, OTHER_KEY } from "../broken-server.ts";
import { runCli } from "../run-cli.ts";

/** For servers that answer at once. */
const quick = { patienceMs: 9000, answerMs: 4000, hugeBytes: 2 ** 23 };

async function failuresOf(fault: Fault | undefined, key: string | undefined, only?: string[]): Promise<AttackResult[]> {
  const server = await breakServer(fault, key);
  try {
    const results = await attackServer({ ...quick, url: server.url, apiKey: key, otherKey: OTHER_KEY, only });
    return results.filter(({ verdict }) => verdict === "failed");
  } finally {
    await server.close();
  }
}

/** Which attack finds a fault, and what its sentence says of it. */
const finders: Readonly<Record<Fault, readonly [attack: string, says: RegExp]>> = {
  "open-route": ["keys", /POST \/tokenize without a key: status 400/],
  "half-key": ["keys", /with the first half of the key/],
  "echoes-origin": ["cross-origin", /echoed, with credentials/],
  "any-host": ["dns-rebinding", /host name was rebound/],
  "reads-paths": ["traversal", /returns a file of the machine/],
  "bare-404": ["unknown", /an unknown route: the answer has no/],
  "library-text": ["shapes", /half of a JSON object: the answer contains a trace of JavaScript/],
  "numbers-500": ["numbers", /"seed":1.*: status 500/],
  "many-answers": ["many-answers", /n 1e9: no answer within 3 s/],
  "deep-json": ["shapes", /100,000 deep: status 500/],
  "no-context-limit": ["long-prompt", /2 MB of text: accepted/],
  "special-tokens": ["special-tokens", /<\|im_end\|> in a user's text counts as one token/],
  "waits-for-terabyte": ["stated-length", /waits for a body declared as 1 TB/],
  "takes-everything": ["endless-body", /read 8 MiB of an endless body/],
  unpacks: ["packed-body", /accepted/],
  "fetches-urls": ["ssrf", /it fetched http:\/\/127\.0\.0\.1/],
  "accepts-files": ["local-files", /file:\/\/\/etc\/passwd: accepted/],
  "image-hangs": ["image-bombs", /a PNG of 50,000 x 50,000: (no answer|the connection was closed)/],
  "many-images": ["many-images", /5,000 images/],
  "slow-clients-stop-others": ["half-sent", /another client got no answer/],
  "waits-forever": ["half-sent", /are still open after/],
  "crowd-500": ["crowd", /status 500/],
  "follows-redirects": ["redirects", /followed a redirect to 127\.0\.0\.1/],
  "waits-for-images": ["slow-image", /byte by byte/],
  "takes-endless-images": ["endless-image", /took 8 MiB of an endless image/],
  "shares-cache": ["shared-cache", /another key sees/],
  "waits-for-readers": ["never-read", /16 clients that never read, another one got no answer/],
};

describe("against a small server", () => {
  test("without faults everything holds, with a key and without", async () => {
    expect(await failuresOf(undefined, "secret")).toEqual([]);
    expect(await failuresOf(undefined, undefined, ["keys", "cross-origin", "dns-rebinding"])).toEqual([]);
  });

  test.each(faults)("the fault %s is found", async (fault) => {
    const [attack, says] = finders[fault];
    const found = await failuresOf(fault, fault === "any-host" ? undefined : "secret", [attack]);
    expect(found.map(({ name }) => name)).toEqual([attack]);
    expect(found[0]!.sentence).toMatch(says);
  });

  test("what shows only once is told, and does not count", async () => {
    const server = await breakServer("numbers-500", undefined, 1);
    const [result] = await attackServer({ ...quick, url: server.url, only: ["numbers"] });
    await server.close();
    expect(result).toMatchObject({ verdict: "held", sentence: expect.stringMatching(/the first: .*status 500/) });
  });

  test("a server that falls is the fault of the attack before, and the rest is skipped", async () => {
    const server = await breakServer(undefined, undefined);
    const results = await attackServer({
      ...quick,
      url: server.url,
      only: ["unknown", "special-tokens", "crowd"],
      onResult: ({ name }) => void (name === "unknown" && server.close()),
    });
    expect(results.map(({ verdict }) => verdict)).toEqual(["held", "failed", "skipped"]);
    await expect(attackServer({ url: server.url })).rejects.toThrow("not a server with OpenAI's API");
    await expect(attackServer({ url: "x" })).rejects.toThrow("Expected the URL");
  });
});

test("texts that tell of the inside are known, and ordinary sentences are not taken for them", () => {
  expect(leakIn("cannot identify image file <_io.BytesIO object at 0x7f2b3c4d5e60>")).toContain("memory");
  expect(leakIn("ENOENT: no such file, open '/home/me/x'")).toBeDefined();
  expect(leakIn("VipsJpeg: premature end of JPEG image")).toContain("library");
  expect(
    leakIn("Expected `n` to be an integer from 1 to 10, got 5; see /v1/models or https://example.org/home/page"),
  ).toBeUndefined();
  expect(leakIn('{"error":{"message":"The image is 50000 x 50000 pixels"}}')).toBeUndefined();
});

test("kelix attack prints what held, and ends with status 1 where something did not", async () => {
  const server = await breakServer("echoes-origin", "secret");
  try {
    const args = ["attack", server.url, "--api-key", "secret", "--only", "cross-origin", "traversal"];
    const { status, out, err } = await runCli(args);
    expect(out).toMatch(/^cross-origin +FAILED +.*with credentials.*\ntraversal +held +no path returns.*\n$/);
    expect([status, err]).toEqual([1, "kelix: 1 of 2 attacks succeeded\n"]);
    const json = await runCli(["attack", server.url, "--api-key", "secret", "--only", "traversal", "--json"]);
    expect([json.status, JSON.parse(json.out)]).toEqual([0, [expect.objectContaining({ verdict: "held" })]]);
    expect((await runCli(["attack", server.url, "--only", "nothing"])).status).toBe(2);
  } finally {
    await server.close();
  }
});
