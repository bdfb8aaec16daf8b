// Images over HTTP: eight clients that draw against one, and images as codes against the library, with one worker and with two.

import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";
import { encodePng, Kelix, loadImage } from "../../../src/index.ts";
import type { Experiment } from "../experiment.ts";
import { seconds } from "./rounds.ts";
import { type Served, serve } from "./served.ts";

const MODEL = "kelix-nano";
const CLIENTS = 8;
const rocket = join(import.meta.dirname, "../../../data/heldout/demo/rocket.png");

export const serveImages: Experiment = {
  name: "serve-images-8",
  about: "clients of `kelix serve` that draw: { one, eight: images/s, ratio }",
  async report({ isSmall }, log) {
    const replicas = availableParallelism();
    const [rounds, each] = isSmall ? [1, 1] : [5, 3];
    log(`${replicas} workers`);
    const server = await serve(["--replicas", String(replicas)]);
    let seed = 0;
    const draw = () => post(server, "images/generations", { prompt: "two red circles", seed: seed++ });
    const best = { one: 0, eight: 0 };
    try {
      await crowd(CLIENTS, 1, draw);
      for (let i = 0; i < rounds; i++) {
        best.one = Math.max(best.one, each / (await seconds(() => crowd(1, each, draw))));
        best.eight = Math.max(best.eight, (CLIENTS * each) / (await seconds(() => crowd(CLIENTS, each, draw))));
      }
    } finally {
      await server.stop();
    }
    return { ...best, ratio: best.eight / best.one, replicas, load: loadavg()[0], cpu: cpus()[0]?.model };
  },
};

export const serveTokenize: Experiment = {
  name: "serve-tokenize",
  about:
    "images as codes over HTTP: { library, one, two: images/s of a client, of one worker and of two, ofLibrary: { one, two } }",
  async report({ isSmall }, log) {
    const [rounds, each] = isSmall ? [1, 2] : [8, 40];
    // One that was seen before has its codes remembered: each differs in a pixel.
    const files = await differentImages((rounds + 1) * 4 * each);
    const kelix = await Kelix.load(MODEL, { threads: 1 });
    const servers: Served[] = [];
    const best = { library: 0, one: 0, two: 0 };
    try {
      for (const replicas of [1, 2]) {
        log(`${replicas} workers`);
        servers.push(await serve(["--replicas", String(replicas), "--threads", "1"]));
      }
      const [one, two] = servers as [Served, Served];
      const send = (server: Served) => () => post(server, "images/tokenize", files.pop()!);
      const inLibrary = () => kelix.tokenize(files.pop()!);
      for (let i = -1; i < rounds; i++) {
        const found = {
          library: each / (await seconds(() => crowd(1, each, inLibrary))),
          one: each / (await seconds(() => crowd(1, each, send(one)))),
          two: (2 * each) / (await seconds(() => crowd(2, each, send(two)))),
        };
        if (i < 0) continue;
        for (const kind of ["library", "one", "two"] as const) best[kind] = Math.max(best[kind], found[kind]);
      }
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
      await kelix.dispose();
    }
    const ofLibrary = { one: best.one / best.library, two: best.two / best.library };
    return { ...best, ofLibrary, load: loadavg()[0], cpu: cpus()[0]?.model };
  },
};

/** So many clients, each of which asks so often, one after the other. */
function crowd(clients: number, each: number, ask: () => Promise<unknown>): Promise<unknown> {
  return Promise.all(
    Array.from({ length: clients }, async () => {
      for (let i = 0; i < each; i++) await ask();
    }),
  );
}

async function differentImages(count: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const image = await loadImage(rocket);
  const files: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < count; i++) {
    image.data.set([i >> 8, i & 255], 0);
    files.push(new Uint8Array(await encodePng(image)));
  }
  return files;
}

async function post({ url }: Served, route: string, body: object): Promise<void> {
  const isFile = body instanceof Uint8Array;
  const response = await fetch(`${url}/v1/${route}`, {
    method: "POST",
    headers: { "content-type": isFile ? "image/png" : "application/json" },
    body: isFile ? new Uint8Array(body) : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`the server answered ${response.status}: ${text}`);
}
