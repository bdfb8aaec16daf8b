// Receipts in files of strangers: the chunk of a PNG file, what is packed in it, and the JSON.

import { deflateSync } from "node:zlib";
import { addPngText, crc32 } from "../../../src/receipt/png-text.ts";
import { readReceipt, withReceipt } from "../../../src/receipt/receipt.ts";
import { json, same, type Target, utf8 } from "../target.ts";

/** A PNG's beginning and end; nothing here decodes it. */
const png = new Uint8Array(
  Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "base64",
  ),
);
const hash = `sha256:${"0".repeat(64)}`;
const drawn = { steps: 12, guidance: 2.5, temperature: 1, topK: 0, topP: 0.8, prompt: "a cat", positions: "demo" };

function receipt(request: unknown) {
  return {
    format: 1,
    version: "0.1.0",
    model: { name: "kelix-nano", hash, precision: { "language model": "f32" } },
    seed: 1,
    request,
    codesHash: hash,
    pixelsHash: hash,
    alone: true,
    machine: { device: "cpu", threads: 1, system: "linux x64" },
  };
}

const receipts = [
  receipt({ call: "imagine", ...drawn }),
  receipt({ call: "edit", ...drawn, image: { hash }, mask: "0110" }),
  receipt({
    call: "chat",
    steps: 12,
    guidance: 2.5,
    maxNewTokens: 9,
    minNewTokens: 0,
    promptLookupNumTokens: 0,
    stop: ["x"],
    index: 0,
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "Draw" },
          { type: "image", image: { bytes: "AAAA" } },
        ],
      },
    ],
  }),
];

export const receiptTargets: readonly Target[] = [
  {
    name: "receipt",
    kind: "memory",
    seeds: async () => receipts.map(json),
    async run(bytes) {
      const text = new TextDecoder().decode(bytes);
      const found = (await readReceipt(addPngText(png, "kelix", text)))!;
      same(await readReceipt(withReceipt(png, "png", found)), found, "what is written and read again");
    },
  },
  {
    name: "receipt-png",
    kind: "memory",
    seeds: async () => {
      const [first, second] = receipts.map((one) => JSON.stringify(one));
      return [
        addPngText(png, "kelix", first!),
        packed(second!),
        addPngText(addPngText(png, "x", "y"), "kelix", first!),
      ];
    },
    repair: withChecksums,
    run: (bytes) => readReceipt(Uint8Array.from(bytes)),
  },
];

/** A receipt that is compressed, as other programs write it. */
function packed(text: string): Uint8Array {
  const data = Buffer.concat([utf8("kelix\0\x01\0\0\0"), deflateSync(utf8(text))]);
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write("iTXt", 4, "latin1");
  data.copy(chunk, 8);
  return withChecksums(new Uint8Array(Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)])));
}

/** The CRC of each chunk that is whole. */
function withChecksums(file: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(file);
  const view = new DataView(changed.buffer);
  for (let at = 8; at + 12 <= changed.length; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > changed.length) break;
    view.setUint32(at + 8 + length, crc32(changed.subarray(at + 4, at + 8 + length)));
    at += 12 + length;
  }
  return changed;
}
