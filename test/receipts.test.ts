// Receipts from drawing to replay, with kelix-nano.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DrawnImage, type Image, Kelix, type Receipt, readReceipt, replay, writeImage } from "../src/index.ts";
import { addPngText } from "../src/receipt/png-text.ts";
import { withReceipt } from "../src/receipt/receipt.ts";
import { version } from "../src/version.ts";
import { runCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

let kelix: Kelix;
let folder: string;
let circles: DrawnImage;
const quick = { steps: 2, seed: 3 };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-receipts-"));
  kelix = await Kelix.load("kelix-nano", { threads: 1 });
  circles = (await kelix.imagine("two red circles, größer", quick))[0]!;
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** A PNG that has another receipt. */
async function withChanged(image: Image, change: (receipt: Receipt) => object): Promise<Uint8Array> {
  const { data, width, height } = image;
  const plain = await sharp(data, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer();
  return addPngText(new Uint8Array(plain), "kelix", JSON.stringify(change(structuredClone(image.receipt!))));
}

test("the version is that of the package", async () => {
  expect(version).toBe(JSON.parse(await readFile("package.json", "utf8")).version);
});

describe("a receipt", () => {
  test("says all that the image was drawn with, and lies in its PNG", async () => {
    const { receipt } = circles;
    expect(receipt).toMatchObject({
      format: 1,
      version,
      seed: 3,
      alone: true,
      model: { name: "kelix-nano", hash: await kelix.modelHash(), precision: { languageModel: "bf16" } },
      request: { call: "imagine", prompt: "two red circles, größer", steps: 2, positions: "training" },
      machine: { device: "cpu", threads: 1 },
    });
    expect(await readReceipt(await circles.toPng())).toEqual(receipt);
    expect(await readReceipt(await circles.toBlob())).toEqual(receipt);
    const file = join(folder, "circles.png");
    await writeImage(file, circles);
    expect(await readReceipt(await readFile(file))).toEqual(receipt);
    expect(JSON.stringify(receipt)).not.toContain(process.cwd());
  });

  test("is left out where it is not wanted, and of formats that have no place for it", async () => {
    const image = await kelix.reconstruct(circles.codes, { ...quick, receipt: false });
    expect(image.receipt).toBeUndefined();
    expect(await readReceipt(await image.toPng())).toBeUndefined();
    expect(await readReceipt(await circles.toBlob("webp"))).toBeUndefined();
  });

  test("knows which images were drawn together", async () => {
    const images = await kelix.imagine("a blue square", { n: 2, steps: 1 });
    expect(images.map(({ receipt, seed }) => [receipt!.alone, receipt!.seed, seed])).toEqual([
      [false, 0, 0],
      [false, 1, 1],
    ]);
    const [alone] = await kelix.imagine("a blue square", { n: 1, steps: 1 });
    expect(alone!.receipt!.alone).toBe(true); // what was read together is not taken over
  });

  test("names models apart", async () => {
    const paths = [join(folder, "a"), join(folder, "b"), join(folder, "c")];
    const hashes = await Promise.all(
      paths.map(async (path, i) => {
        await using model = await Kelix.load(await writeTinyModel(path, [1, 1, 2][i]), { threads: 1 });
        return await model.modelHash();
      }),
    );
    expect(hashes[0]).toBe(hashes[1]);
    expect(hashes[0]).toMatch(/^sampled-sha256:[0-9a-f]{64}$/);
    expect(new Set([...hashes, await kelix.modelHash()]).size).toBe(3);
    const template = join(paths[1]!, "chat_template.jinja");
    await writeFile(template, `${await readFile(template, "utf8")}{# #}`);
    await using changed = await Kelix.load(paths[1]!, { threads: 1 });
    expect(await changed.modelHash()).not.toBe(hashes[1]);
  });

  test("of a stranger is checked", async () => {
    const refused = (change: (receipt: Receipt) => object) =>
      withChanged(circles, change)
        .then(readReceipt)
        .catch(({ code, message }) => `${code}: ${message}`);
    expect(await refused((receipt) => ({ ...receipt, format: 2 }))).toMatch(/^invalid_receipt: .*format 2 is newer/);
    expect(await refused((receipt) => ({ ...receipt, seed: "x" }))).toContain("`seed`");
    expect(await refused(() => [])).toMatch(/^invalid_receipt/);
    const text = new Uint8Array(await sharp(circles.data, { raw: circles }).png().toBuffer());
    await expect(readReceipt(addPngText(text, "kelix", "{"))).rejects.toThrow("not JSON");
  });
});

describe("replay", () => {
  test("draws what was drawn alone again, byte for byte: three images, an edit, a reconstruction, a chat", async () => {
    const mask = { width: 2, height: 1, data: [255, 255, 255, 0, 0, 0] };
    const drawn: Image[] = [circles];
    for (const seed of [1, 2]) drawn.push((await kelix.imagine("a green star", { steps: 2, seed }))[0]!);
    drawn.push(await kelix.edit(circles, "make it blue", { ...quick, mask, temperature: 0.5 }));
    drawn.push(await kelix.reconstruct("data/heldout/demo/rocket.png", quick));
    await using other = await Kelix.load("kelix-nano", { threads: 1, promptCacheBytes: 0 });
    const draw = [{ role: "user", content: "Draw a red circle." }] as const;
    drawn.push((await other.chat(draw, quick).result()).images[0]!);
    for (const image of drawn) {
      const png = await image.toPng();
      const { verdict, expected, holds, notes, image: again } = await replay(other, png);
      expect({ verdict, expected, holds, notes }).toEqual({
        verdict: "identical",
        expected: "identical",
        holds: true,
        notes: [],
      });
      expect(Buffer.from(await again.toPng()).equals(png)).toBe(true);
    }
  });

  test("expects less, and says why, of what was drawn in company or elsewhere", async () => {
    const [image] = await kelix.imagine("a blue square", { n: 2, steps: 2 });
    const together = await replay(kelix, await image!.toPng());
    expect(together).toMatchObject({ expected: "close", holds: true });
    expect(together.notes.join()).toContain("shared");
    const elsewhere = await withChanged(circles, (receipt) => ({
      ...receipt,
      version: "0.0.9",
      machine: { ...receipt.machine, threads: 64 },
    }));
    expect((await replay(kelix, elsewhere)).notes).toEqual([
      `it was drawn by Kelix 0.0.9; this is ${version}`,
      "it was drawn with threads 64; here it is 1",
    ]);
  });

  test("finds an image that was changed, and a receipt that was", async () => {
    const { width, height, data } = circles;
    const touched = { width, height, data: data.map((level, i) => (i === 0 ? 255 - level : level)) };
    const plain = new Uint8Array(
      await sharp(touched.data, { raw: { width, height, channels: 4 } })
        .png()
        .toBuffer(),
    );
    const changed = await replay(kelix, withReceipt(plain, "png", circles.receipt));
    expect(changed).toMatchObject({ verdict: "different", expected: "identical", holds: false, differentPixels: 1 });
    expect(changed.notes.join()).toContain("changed afterwards");
    const other = await replay(kelix, await withChanged(circles, (receipt) => ({ ...receipt, seed: 4 })));
    expect(other).toMatchObject({ verdict: "different", holds: false });
    expect(other.notes.join()).toContain("other codes");
  });

  test("refuses what it cannot draw, and says why", async () => {
    const why = (change: (receipt: Receipt) => object) =>
      withChanged(circles, change)
        .then((png) => replay(kelix, png))
        .catch(({ code, message }) => `${code}: ${message}`);
    const hash = `sampled-sha256:${"0".repeat(64)}`;
    expect(await why((receipt) => ({ ...receipt, model: { ...receipt.model, hash, name: "other" } }))).toMatch(
      /^invalid_receipt: .*another model.*"other"/,
    );
    expect(await why((receipt) => ({ ...receipt, version: "9.0.0" }))).toMatch(/^invalid_receipt: .*newer/);
    expect(await why(({ request, ...receipt }) => receipt)).toContain("too long");
    const edited = { call: "reconstruct", steps: 1, guidance: 1, image: { hash: `sha256:${"0".repeat(64)}` } };
    expect(await why((receipt) => ({ ...receipt, request: edited }))).toContain("by its hash alone");
    await expect(replay(kelix, await readFile("data/heldout/demo/rocket.png"))).rejects.toThrow("has no receipt");
  });
});

test("kelix replay compares a file, prints what it found and ends with status 1 where it differs", async () => {
  const [file, bad, again] = ["circles.png", "bad.png", "again.png"].map((name) => join(folder, name));
  await writeImage(file!, circles);
  const good = await runCli(["replay", file!, "--json", "-o", again!]);
  expect(good).toMatchObject({ status: 0, err: "" });
  expect(JSON.parse(good.out)).toMatchObject({ verdict: "identical", expected: "identical", receipt: { seed: 3 } });
  expect((await readFile(again!)).equals(await readFile(file!))).toBe(true);
  await writeFile(bad!, await withChanged(circles, (receipt) => ({ ...receipt, seed: 4 })));
  const failed = await runCli(["replay", bad!]);
  expect(failed).toMatchObject({ status: 1 });
  expect(failed.out).toMatch(/bad\.png: drawn again, it is different/);
  expect(failed.err).toMatch(/^kelix: .*should have come out identical, and is different\n$/);
  const none = await runCli(["replay", "data/heldout/demo/rocket.png"]);
  expect(none).toMatchObject({ status: 1, out: "" });
  expect(none.err).toContain("has no receipt");
  const bare = await runCli([
    "reconstruct",
    "data/heldout/demo/rocket.png",
    "--steps",
    "1",
    "--no-receipt",
    "-o",
    again!,
  ]);
  expect(bare.status).toBe(0);
  expect(await readReceipt(await readFile(again!))).toBeUndefined();
});
