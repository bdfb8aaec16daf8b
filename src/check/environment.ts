// What a report says about its machine: versions and hardware, nothing that identifies its owner.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, release, type } from "node:os";
import { coreCount, readMemory } from "../plan/machine.ts";
import { loadBackend } from "../runtime/backend.node.ts";
import type { Device } from "../runtime/backend.ts";

export interface Environment {
  readonly kelix: string;
  readonly node: string;
  /** "onnxruntime-node 1.30.0 on cpu" */
  readonly engine: string;
  /** "Linux 6.8.0 x64" */
  readonly system: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly availableBytes: number;
}

export async function describeEnvironment(device: Device = "cpu"): Promise<Environment> {
  const { totalBytes, availableBytes } = await readMemory();
  return {
    kelix: versionAt(new URL("../../package.json", import.meta.url)),
    node: process.versions.node,
    engine: await describeEngine(device),
    system: `${type()} ${release()} ${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: coreCount(),
    memoryBytes: totalBytes,
    availableBytes,
  };
}

async function describeEngine(device: Device): Promise<string> {
  const backend = await loadBackend(device).catch(() => undefined);
  if (!backend) return `${device} is not available`;
  const name = backend.readsFiles ? "onnxruntime-node" : "onnxruntime-web";
  return `${name} ${versionOf(name)} on ${backend.device}`;
}

/** The version of an installed package. ONNX Runtime's packages do not export package.json, so their folder is searched for. */
function versionOf(name: string): string {
  const folder = `node_modules/${name}/`;
  try {
    const entry = createRequire(import.meta.url)
      .resolve(name)
      .replaceAll("\\", "/");
    return versionAt(`${entry.slice(0, entry.lastIndexOf(folder))}${folder}package.json`);
  } catch {
    return "unknown version";
  }
}

function versionAt(path: string | URL): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
