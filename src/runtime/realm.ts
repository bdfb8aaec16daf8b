// Values of another realm: what Jest, node:vm and Electron hand over has classes of its own, so `instanceof` does not know it.

import type { TypedArray } from "./host-tensor.ts";

/** The kind of a value, the same in every realm: "Uint8Array", "ArrayBuffer", "Blob", "URL", "Object". */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** The same memory as an array of the realm's class, of this realm's if none is said. */
export function castArray<T extends TypedArray>(array: T, realm: typeof globalThis = globalThis): T {
  const Own = (realm as unknown as Record<string, new (...from: unknown[]) => T>)[kindOf(array)]!;
  return array instanceof Own ? array : new Own(array.buffer, array.byteOffset, array.length);
}

/** What holds bytes, a view or a whole buffer, as a Uint8Array over the same memory; undefined for anything else. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  const kind = kindOf(value);
  if (["Uint8Array", "Uint8ClampedArray", "Int8Array", "DataView"].includes(kind)) {
    const { buffer, byteOffset, byteLength } = value as ArrayBufferView;
    return byteLength === 0 ? new Uint8Array(0) : new Uint8Array(buffer, byteOffset, byteLength);
  }
  if (kind !== "ArrayBuffer" && kind !== "SharedArrayBuffer") return undefined;
  // One that was transferred to another thread has no bytes, and no view can be made of it.
  const buffer = value as ArrayBufferLike;
  return buffer.byteLength === 0 ? new Uint8Array(0) : new Uint8Array(buffer);
}
