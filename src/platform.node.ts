// The platform port in Node: the disk and the Hub's cache (what comes from a URL stays in memory), sharp, the machine's memory, and a thread for templates.

import { availableParallelism, cpus } from "node:os";
import { checkModelName } from "./arguments.ts";
import { folderFiles } from "./files/folder.node.ts";
import { openUrl } from "./files/http.ts";
import { givenFiles } from "./files/memory.ts";
import { encodeImage } from "./image/codec.node.ts";
import { loadImage } from "./image/image-source.node.ts";
import { resolveModel } from "./model/find.node.ts";
import { guardMemory } from "./plan/memory-check.ts";
import type { Platform } from "./platform.ts";
import { threadSandbox } from "./text/sandbox.node.ts";

export const platform: Platform = {
  defaultModel: () => process.env.KELIX_MODEL || "kelix-nano",
  async openFiles(source, options) {
    if (typeof source === "object" && source !== null && Symbol.iterator in source) return givenFiles(source);
    if (/^https?:\/\//i.test(String(source))) return openUrl(new URL(source), options);
    checkModelName(source, "Kelix.load(name, options)");
    return folderFiles(await resolveModel(source, options));
  },
  loadImage,
  encodeImage,
  guardMemory,
  templates: threadSandbox,
  async describeMachine({ threads = availableParallelism() }) {
    const processor = cpus()[0]?.model.trim();
    return { threads, system: `${process.platform} ${process.arch}`, ...(processor && { processor }) };
  },
};
