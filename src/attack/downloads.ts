// Images by URL that a server should not have fetched, or not for so long: redirects inwards, downloads that never end. A listener on this
// machine tells what the server did, so only servers on it can be watched.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { complain } from "./complaints.ts";
import { type Attack, type Finding, judge, skipped } from "./finding.ts";
import type { Reply, Target } from "./target.ts";

const ELSEWHERE = "the server is on another machine, where nobody sees what it fetches";
const DRIP_MS = 200;

/** Names of this machine that a server may take for those of another: its addresses on networks, and a loopback one that is seldom on lists. */
function ownNames(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const outer = addresses.filter(({ family, internal }) => family === "IPv4" && !internal);
  return [...outer.map(({ address }) => address), "127.0.0.2"];
}

/** Runs a listener, shows the server an image of it under each name, and gives its replies. */
async function show(
  target: Target,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  timeoutMs: number,
): Promise<Reply[]> {
  const listener = createServer((request, response) => {
    response.on("error", () => undefined);
    answer(request, response);
  });
  await new Promise<void>((resolve) => listener.listen(0, "0.0.0.0", resolve));
  const { port } = listener.address() as AddressInfo;
  const replies: Reply[] = [];
  try {
    for (const name of ownNames()) {
      const image = { type: "image_url", image_url: { url: `http://${name}:${port}/image.png` } };
      replies.push(await target.chat([image, { type: "text", text: "What is this?" }], {}, { timeoutMs }));
    }
  } finally {
    listener.close();
    listener.closeAllConnections();
  }
  return replies;
}

async function redirects(target: Target): Promise<Finding> {
  if (!target.isLocal) return skipped(ELSEWHERE);
  let inside = 0;
  const replies = await show(
    target,
    ({ url, socket }, response) => {
      if (url?.startsWith("/inside")) inside++;
      const to = `http://127.0.0.1:${socket.localPort}/inside.png`;
      response.writeHead(302, { location: to }).end();
    },
    15_000,
  );
  const followed = inside > 0 ? "it followed a redirect to 127.0.0.1, which only this machine reaches" : undefined;
  const complaints = replies.map((reply) => complain("an image that redirects to 127.0.0.1", reply));
  return judge([followed, ...complaints], "no redirect leads to this machine");
}

async function slowDownload(target: Target): Promise<Finding> {
  if (!target.isLocal) return skipped(ELSEWHERE);
  let fetched = 0;
  const replies = await show(
    target,
    (_, response) => {
      fetched++;
      response.writeHead(200, { "content-type": "image/png" });
      const timer = setInterval(() => response.write("x"), DRIP_MS);
      response.on("close", () => clearInterval(timer));
    },
    target.patienceMs,
  );
  const seconds = Math.round(target.patienceMs / 1000);
  const complaints = replies.map((reply) =>
    reply.failure === "timeout"
      ? `it waits for more than ${seconds} s for an image that comes byte by byte`
      : complain("an image that comes byte by byte", reply),
  );
  return judge(complaints, fetched ? "an image that comes byte by byte is given up" : "no such image is fetched");
}

async function endlessDownload(target: Target): Promise<Finding> {
  if (!target.isLocal) return skipped(ELSEWHERE);
  const piece = Buffer.alloc(65_536, "x");
  let most = 0;
  const replies = await show(
    target,
    (_, response) => {
      let sent = 0;
      const send = () => {
        while (!response.destroyed && sent < target.hugeBytes) {
          sent += piece.length;
          most = Math.max(most, sent);
          if (!response.write(piece)) return void response.once("drain", send);
        }
        response.end();
      };
      response.writeHead(200, { "content-type": "image/png" });
      send();
    },
    target.answerMs,
  );
  const taken =
    most >= target.hugeBytes ? `it took ${Math.round(most / 2 ** 20)} MiB of an image without end` : undefined;
  const complaints = replies.map((reply) => complain("an image without end", reply));
  return judge([taken, ...complaints], most > 0 ? "an image without end is given up" : "no such image is fetched");
}

export const downloads: readonly Attack[] = [
  { name: "redirects", about: "image URLs that redirect to the server's own machine", run: redirects },
  { name: "slow-image", about: "an image URL whose bytes come one by one, for ever", run: slowDownload },
  { name: "endless-image", about: "an image URL whose bytes never end", run: endlessDownload },
];
