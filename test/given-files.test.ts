// A model that no disk holds: its files as buffers, and over HTTP, on the native library of Node.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { Kelix, type ModelSource } from "../src/index.ts";
import { listModelFiles } from "../src/output/listing.ts";

const folder = "models/kelix-nano";
const image = "data/heldout/demo/octopus.png";

async function codesOf(source: ModelSource) {
  await using kelix = await Kelix.load(source, { threads: 1 });
  return (await kelix.tokenize(image)).toJSON();
}

test("gives the codes of its folder", async () => {
  const listing = await listModelFiles(folder);
  const files = await Promise.all(
    listing.files.map(async ({ path }) => ({ path, data: await readFile(`${folder}/${path}`) })),
  );
  const server = createServer((request, response) => {
    const path = request.url!.slice("/nano/".length);
    response.end(path === "files.json" ? JSON.stringify(listing) : files.find((file) => file.path === path)?.data);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const expected = await codesOf(folder);
  expect(await codesOf(files)).toEqual(expected);
  expect(await codesOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}/nano/`)).toEqual(expected);
  server.closeAllConnections();
  server.close();
});
