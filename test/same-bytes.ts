// Before each test file: typed arrays of the same bytes are equal at once. Vitest would compare images and tensors number by number, as
// it still does to say where they differ.

import { expect } from "vitest";

function haveSameBytes(a: unknown, b: unknown): true | undefined {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined;
  return bytesOf(a).equals(bytesOf(b)) || undefined;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

// Files share a worker, and with it the testers.
const shared = globalThis as { comparesBytes?: true };
if (!shared.comparesBytes) expect.addEqualityTesters([haveSameBytes]);
shared.comparesBytes = true;
