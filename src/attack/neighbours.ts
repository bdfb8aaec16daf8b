// What one client can do to another: find out from token counts what it asked, or occupy the server by not reading.

import type { Socket } from "node:net";
import { longRequest } from "./connections.ts";
import { type Attack, type Finding, failed, held, skipped } from "./finding.ts";
import { parseJson, type Target } from "./target.ts";

/** More than most servers answer at a time. */
const NON_READERS = 16;

/** A new prompt that is long enough to be cached. */
function secret(): string {
  const words = Array.from({ length: 60 }, (_, i) => `word${(i * 7919) % 97}`);
  return `${Math.random()} ${words.join(" ")}`;
}

async function sharedCache(target: Target): Promise<Finding> {
  const { apiKey, otherKey } = target;
  if (apiKey === undefined || otherKey === undefined) return skipped("needs two keys: pass --api-key and --other-key");
  const content = secret();
  const cached = async (key: string) => {
    const { text } = await target.chat(content, {}, { key });
    return parseJson(text)?.usage?.prompt_tokens_details?.cached_tokens as unknown;
  };
  await cached(apiKey);
  const own = await cached(apiKey);
  if (typeof own !== "number" || own === 0) return skipped("the server caches nothing, or does not report it");
  const other = await cached(otherKey);
  // Every prompt begins with the same few tokens of the template, so a few may be cached.
  if (typeof other === "number" && other > own / 2)
    return failed(`another key sees ${other} cached tokens of a prompt that only the first key has sent`);
  return held("one key's cache is not visible to another");
}

async function neverRead(target: Target): Promise<Finding> {
  const sockets: Socket[] = [];
  try {
    for (let i = 0; i < NON_READERS; i++) {
      const socket = await target.connect().catch(() => undefined);
      if (!socket) break;
      socket.pause();
      socket.write(longRequest(target, i));
      sockets.push(socket);
    }
    const until = performance.now() + target.patienceMs + target.answerMs;
    while (performance.now() < until) {
      const { status } = await target.chat("Hi", {}, { timeoutMs: Math.max(1, Math.ceil(until - performance.now())) });
      if (status === 200) return held(`with ${sockets.length} clients that never read, another one is answered`);
      if (status !== 429 && status !== 503) break;
      await new Promise((resolve) => setTimeout(resolve, 500)); // told to retry
    }
    const seconds = Math.round((target.patienceMs + target.answerMs) / 1000);
    return failed(`with ${sockets.length} clients that never read, another one got no answer within ${seconds} s`);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

export const neighbours: readonly Attack[] = [
  { name: "shared-cache", about: "whether one key can see what another has asked", run: sharedCache },
  { name: "never-read", about: `${NON_READERS} clients that never read their answers`, run: neverRead },
];
