// Image URLs that redirect to internal addresses or never stop sending. A listener on this machine sees what the server fetches, so
// only local servers can be tested.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { complain } from "./complaints.ts";
import { type Attack, type Finding, judge, skipped } from "./finding.ts";
import type { Reply, Target } from "./target.ts";

const ELSEWHERE = "the server is on another machine, so its requests cannot be observed";
const DRIP_MS = 200;

/** Addresses of this machine that a server may not recognise as internal: its network addresses, and a loopback address that is rarely on block lists. */
function ownNames(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const outer = addresses.filter(({ family, internal }) => family === "IPv4" && !internal);
  return [...outer.map(({ address }) => address), "127.0.0.2"];
}

/** Starts a listener, sends the server an image URL of it under each name, and returns the replies. */
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
  const followed = inside > 0 ? "it followed a redirect to 127.0.0.1" : undefined;
  const complaints = replies.map((reply) => complain("an image that redirects to 127.0.0.1", reply));
  return judge([followed, ...complaints], "no redirect to this machine was followed");
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
      ? `it waits more than ${seconds} s for an image that arrives byte by byte`
      : complain("an image that arrives byte by byte", reply),
  );
  return judge(complaints, fetched ? "an image that arrives byte by byte is given up" : "no image is fetched");
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
  const taken = most >= target.hugeBytes ? `it took ${Math.round(most / 2 ** 20)} MiB of an endless image` : undefined;
  const complaints = replies.map((reply) => complain("an endless image", reply));
  return judge([taken, ...complaints], most > 0 ? "an endless image is given up" : "no image is fetched");
}

export const downloads: readonly Attack[] = [
  { name: "redirects", about: "image URLs that redirect to the server itself", run: redirects },
  { name: "slow-image", about: "an image URL that sends one byte at a time, forever", run: slowDownload },
  { name: "endless-image", about: "an image URL that never stops sending", run: endlessDownload },
];
