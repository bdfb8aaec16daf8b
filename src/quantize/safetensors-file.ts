// Reads and writes whole safetensors files on disk. Writing is atomic and gives the same bytes for the same tensors.

import { basename } from "node:path";
import { openSafetensors, type SafetensorsFile } from "../checkpoint/safetensors.ts";
import { ModelError } from "../errors.ts";
import { openFileAt } from "../files/folder.node.ts";
import { memoryFile } from "../files/memory.ts";
import { writeAll } from "../output/atomic-file.ts";
import { type Output, openOutput } from "../output/output.ts";
import { countElements, type HostTensor } from "../runtime/host-tensor.ts";
import { layOut } from "./safetensors-layout.ts";

/** Opens a file and checks its header; throws a ModelError that says what is wrong with it. */
export async function openSafetensorsAt(path: string): Promise<SafetensorsFile> {
  return openSafetensors(await openFileAt(path));
}

/** Like openSafetensorsAt, for a file in memory, such as one read from a pipe; `name` is for messages. */
export function parseSafetensors(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<SafetensorsFile> {
  return openSafetensors(memoryFile(new Blob([bytes]), name));
}

/** Every tensor of a file, in header order. For small files. */
export async function readSafetensors(path: string): Promise<Map<string, HostTensor>> {
  const file = await openSafetensorsAt(path);
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    return tensors;
  } finally {
    await file.close();
  }
}

/**
 * Writes a file atomically: a failure (a full disk) leaves no partial file and an older one untouched.
 * See layOut for the order of tensors, and openOutput for what a path may lead to.
 */
export async function writeSafetensors(
  path: string | Pick<Output, "name" | "write">,
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const output = typeof path === "string" ? await openOutput(path) : path;
  const fileName = basename(output.name);
  const named = [...tensors];
  for (const [name, { shape, data }] of named) {
    if (data.length === countElements(shape)) continue;
    throw new ModelError(`${fileName}: tensor ${name} has ${data.length} elements, its shape is [${shape}]`);
  }
  const { header, places } = layOut(named, metadata, fileName);
  const ordered = named.sort(([a], [b]) => places.get(a)!.byteOffset - places.get(b)!.byteOffset);
  await output.write(async (file) => {
    await writeAll(file, header);
    for (const [, { data }] of ordered) {
      await writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  });
}
