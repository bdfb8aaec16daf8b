// Images in a conversation: internal addresses, local files, image bombs.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { deflateSync } from "node:zlib";
import { crc32 } from "../receipt/png-text.ts";
import { complain, complainUnlessRefused } from "./complaints.ts";
import { type Attack, type Finding, failed, judge, skipped } from "./finding.ts";
import type { Target } from "./target.ts";

const showing = (url: string) => [
  { type: "image_url", image_url: { url } },
  { type: "text", text: "What is this?" },
];
const dataUrl = (bytes: Uint8Array, type = "png") =>
  `data:image/${type};base64,${Buffer.from(bytes).toString("base64")}`;

/** Ways to spell 127.0.0.1. */
const loopbacks = [
  "127.0.0.1",
  "localhost",
  "0.0.0.0",
  "2130706433",
  "0177.0.0.1",
  "0x7f000001",
  "127.1",
  "[::ffff:127.0.0.1]",
  "[::1]",
  "good.example\\@127.0.0.1",
  "good.example@127.0.0.1",
];

/** A listener on the loopback address sees what the server fetches, so only a local server can be tested. */
async function insideAddresses(target: Target): Promise<Finding> {
  if (!target.isLocal) return skipped("the server is on another machine, so its requests cannot be observed");
  const visits: string[] = [];
  const listener = createServer((request, response) => {
    visits.push(request.url ?? "");
    response.writeHead(200, { "content-type": "image/png" }).end(pngOf(64, 64));
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const complaints: (string | undefined)[] = [];
  try {
    for (const [i, host] of loopbacks.entries()) {
      const url = `http://${host}:${port}/visit-${i}.png`;
      const reply = await target.chat(showing(url), {}, { timeoutMs: 15_000 });
      const wasVisited = visits.includes(`/visit-${i}.png`);
      complaints.push(wasVisited ? `it fetched ${url}, an internal address` : complain(url, reply));
    }
  } finally {
    listener.close();
    listener.closeAllConnections();
  }
  return judge(complaints, `${loopbacks.length} spellings of the server's own address: none was fetched`);
}

async function metadata(target: Target): Promise<Finding> {
  const urls = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/x.png",
    "http://metadata.google.internal/",
  ];
  return refusedImages(target, urls, "addresses of cloud metadata and private networks are rejected", {
    timeoutMs: 15_000,
  });
}

async function localFiles(target: Target): Promise<Finding> {
  const urls = [
    "file:///etc/passwd",
    "/etc/passwd",
    "../../../../etc/passwd",
    "file://localhost/etc/passwd",
    "data:text/plain,../etc/passwd",
    "gopher://127.0.0.1/",
    "javascript:1",
  ];
  return refusedImages(target, urls, "local files are not opened as images");
}

/** Sends each URL as an image. All must be rejected. */
async function refusedImages(
  target: Target,
  urls: readonly string[],
  held: string,
  limits?: Parameters<Target["chat"]>[2],
): Promise<Finding> {
  const complaints: (string | undefined)[] = [];
  for (const url of urls) complaints.push(complainUnlessRefused(url, await target.chat(showing(url), {}, limits)));
  return judge(complaints, held);
}

async function bombs(target: Target): Promise<Finding> {
  const files: readonly (readonly [what: string, bytes: Uint8Array, type: string])[] = [
    ["a PNG of 50,000 x 50,000", pngOf(50_000, 50_000, 1000), "png"],
    ["a PNG of 4 billion x 4 billion", pngOf(2 ** 32 - 1, 2 ** 32 - 1, 10), "png"],
    ["a PNG of 1 x 10,000", pngOf(1, 10_000), "png"],
    ["half a PNG", pngOf(64, 64).subarray(0, 60), "png"],
    ["a PNG without pixels", pngOf(64, 64, 0), "png"],
    [
      "an SVG that reads a file",
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
      "svg+xml",
    ],
    [
      "a GIF of 65,535 x 65,535",
      Buffer.from("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,", "latin1"),
      "gif",
    ],
    ["a JPEG of nothing", Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0xff, 0xff, 0xff, 0xd9]), "jpeg"],
    ["a WebP of nothing", Buffer.from("RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff/", "latin1"), "webp"],
    ["text", Buffer.from("hello"), "png"],
    ["an empty file", Buffer.alloc(0), "png"],
  ];
  const complaints: (string | undefined)[] = [];
  for (const [what, bytes, type] of files) {
    const judgeOf = what.includes("1 x 10,000") ? complain : complainUnlessRefused;
    complaints.push(judgeOf(what, await target.chat(showing(dataUrl(bytes, type)))));
  }
  complaints.push(complain("a PNG of 1 x 1", await target.chat(showing(dataUrl(pngOf(1, 1))))));
  const profile = Buffer.concat([Buffer.from("x\0\0"), deflateSync(Buffer.alloc(2 ** 25))]);
  complaints.push(
    complain(
      "a compressed colour profile of 32 MiB",
      await target.chat(showing(dataUrl(pngOf(64, 64, undefined, ["iCCP", profile])))),
    ),
  );
  complaints.push(complainUnlessRefused("invalid base64", await target.chat(showing("data:image/png;base64,%%%%"))));
  return judge(complaints, `${files.length + 3} image bombs and broken images: each was rejected or harmless`);
}

async function manyImages(target: Target): Promise<Finding> {
  const [part] = showing(dataUrl(pngOf(64, 64)));
  const reply = await target.chat(Array.from({ length: 5000 }, () => part));
  if (reply.status === 200) return failed("it read 5,000 images in one request");
  return judge(
    [complainUnlessRefused("5,000 images in one request", reply)],
    "thousands of images in one request are rejected",
  );
}

/** A grey PNG. `rows` is how many rows of pixels it really has; all if absent. */
export function pngOf(
  width: number,
  height: number,
  rows = height,
  extra?: readonly [kind: string, data: Uint8Array],
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const pixels = deflateSync(Buffer.alloc(Math.min((width + 1) * rows, 2 ** 26), 0));
  const chunks = [
    chunk("IHDR", header),
    ...(extra ? [chunk(...extra)] : []),
    chunk("IDAT", pixels),
    chunk("IEND", Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...chunks]);
}

function chunk(kind: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(data.length, 0);
  numbers.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([numbers.subarray(0, 4), body, numbers.subarray(4)]);
}

export const images: readonly Attack[] = [
  { name: "ssrf", about: "image URLs that point to the server itself, in many spellings", run: insideAddresses },
  { name: "metadata", about: "image URLs of cloud metadata and private networks", run: metadata },
  { name: "local-files", about: "image URLs of local files", run: localFiles },
  { name: "image-bombs", about: "images that are far too large, broken, or of unsupported formats", run: bombs },
  { name: "many-images", about: "5,000 images in one request", run: manyImages },
];
