// An address of an image may be signed: what it is signed with reaches no output and no file.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KelixError } from "../src/errors.ts";
import { loadImage } from "../src/image/image-source.node.ts";
import { runCli } from "./run-cli.ts";

const image = fileURLToPath(new URL("../data/heldout/demo/rocket.png", import.meta.url));

let folder: string;
let server: Server;
let address: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-secrets-"));
  const bytes = await readFile(image);
  server = createServer(({ url = "" }, response) => {
    if (url.startsWith("/rocket.png")) response.end(bytes);
    else response.writeHead(403).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://user:SECRET@127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

async function kelix(...args: string[]): Promise<{ status: number | null; text: string }> {
  const { status, out, err } = await runCli(args, { cwd: folder });
  return { status, text: out + err };
}

/** Whatever was said, and whatever lies in the folder. */
async function expectNoSecret(text: string): Promise<void> {
  expect(text).not.toMatch(/SECRET|U0VDUkVU/);
  for (const name of await readdir(folder))
    expect(`${name} ${await readFile(join(folder, name), "latin1")}`).not.toContain("SECRET");
}

const signed = (name: string) => `${address}/${name}?X-Signature=SECRET#SECRET`;

test("a signed address is shown and stored without its signature", async () => {
  const tokenized = await kelix("tokenize", signed("rocket.png"), image, "-o", "codes.safetensors", "--json");
  expect(tokenized).toMatchObject({
    status: 0,
    text: expect.stringMatching(/"http:\/\/127\.0\.0\.1:\d+\/rocket\.png"/),
  });
  await expectNoSecret(tokenized.text);
  expect(await readFile(join(folder, "codes.safetensors"), "latin1")).toContain("rocket.png");
  const described = await kelix("describe", signed("rocket.png"), image, "--max-new-tokens", "2");
  expect(described).toMatchObject({ status: 0, text: expect.stringMatching(/127\.0\.0\.1:\d+\/rocket\.png/) });
  await expectNoSecret(described.text);
});

test.each([
  ["a refusal", () => signed("none.png")],
  ["a connection that fails", () => signed("none.png").replace(/:\d+\//, ":59999/")],
  ["a port that is not allowed", () => signed("none.png").replace(/:\d+\//, ":1/")],
  ["an address that is none", () => "http://user:SECRET@[h/x?SECRET"],
  ["another scheme", () => "s3://user:SECRET@bucket/key?SECRET"],
  ["blanks around it", () => ` ${signed("none.png")} `],
  ["a data URL", () => "data:image/png;base64,U0VDUkVU"],
])("of %s an error tells no secret, nor do its causes", async (_, name) => {
  const error: unknown = await loadImage(name()).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(KelixError);
  expect(inspect(error, { depth: 9 })).not.toMatch(/SECRET|U0VDUkVU/);
});

test("neither does the command line, whatever the address is given for", async () => {
  for (const args of [
    ["tokenize", signed("none.png"), "-o", "none.safetensors", "--verbose"],
    ["info", signed("model")],
    ["imagine", "x", "--steps", signed("x")],
    ["pull", signed("model")],
  ]) {
    const { status, text } = await kelix(...args);
    expect(status, args.join(" ")).toBeGreaterThan(0);
    await expectNoSecret(text);
  }
});
