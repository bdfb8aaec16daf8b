// Fetches an image by URL for an untrusted client. The host name is resolved once, all its addresses must be public, and the connection goes to
// one of them, so nothing can change between check and connection. Both use the same URL parser (WHATWG). Redirects are checked the same way.

import { promises as dns, type LookupAddress } from "node:dns";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import { badField } from "./api-error.ts";
import { isPublicAddress } from "./public-address.ts";

export interface RemoteImages {
  /** All addresses of a host name. */
  readonly resolve: (name: string) => Promise<readonly LookupAddress[]>;
  readonly mayOpen: (address: string) => boolean;
  /** For all redirects together. */
  readonly timeoutMs: number;
}

export const publicImages: RemoteImages = {
  resolve: (name) => dns.lookup(name, { all: true }),
  mayOpen: isPublicAddress,
  timeoutMs: 10_000,
};

const MAX_REDIRECTS = 3;

/** Fetches at most `maxBytes`. Throws a 400 that names `param` and reveals nothing about the network. */
export async function fetchImage(
  text: string,
  remote: RemoteImages,
  { maxBytes, param, signal }: { readonly maxBytes: number; readonly param: string; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const deadline = AbortSignal.timeout(remote.timeoutMs);
  const ended = AbortSignal.any([deadline, signal]);
  try {
    let url = parse(text, param);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await open(url, await findAddress(url, remote, param, ended), ended);
      const { statusCode = 0, headers } = response;
      if (statusCode === 200) return await collect(response, maxBytes, param);
      response.destroy();
      if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined) {
        throw badField(param, `The image's server answered with status ${statusCode}`, "image_not_fetched");
      }
      url = parse(headers.location, param, url);
    }
    throw badField(param, `The image's URL redirects more than ${MAX_REDIRECTS} times`, "image_not_fetched");
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (deadline.aborted) {
      throw badField(param, `The image did not arrive within ${remote.timeoutMs / 1000} seconds`, "image_not_fetched");
    }
    if (cause instanceof Error && cause.name === "ApiError") throw cause;
    throw badField(param, "The image could not be fetched from its URL", "image_not_fetched");
  }
}

function parse(text: string, param: string, base?: URL): URL {
  const url = URL.canParse(text, base) ? new URL(text, base) : undefined;
  if (url && ["http:", "https:"].includes(url.protocol) && !url.username && !url.password) return url;
  throw badField(param, "Expected an http or https URL of an image, without a user name", "image_not_fetched");
}

/** The address to connect to. Throws unless all addresses of the host are public. */
async function findAddress(url: URL, remote: RemoteImages, param: string, signal: AbortSignal): Promise<LookupAddress> {
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(name);
  const addresses = family ? [{ address: name, family }] : await orAborted(remote.resolve(name), signal);
  const [first] = addresses;
  if (first && addresses.every(({ address }) => remote.mayOpen(address))) return first;
  throw badField(param, "The image's URL does not point to a public address", "image_not_fetched");
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

function open(url: URL, to: LookupAddress, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { get } = url.protocol === "https:" ? https : http;
    const request = get(url, {
      agent: false,
      signal,
      headers: { accept: "image/png, image/jpeg, image/webp", "accept-encoding": "identity", "user-agent": "kelix" },
      // Connects to this address, whatever the host name resolves to now.
      lookup: (_name, { all }, done) => (all ? done(null, [to]) : done(null, to.address, to.family)),
    });
    request.on("response", resolve);
    request.on("error", reject);
  });
}

async function collect(response: IncomingMessage, maxBytes: number, param: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    total += chunk.byteLength;
    if (total > maxBytes) {
      response.destroy();
      throw badField(param, `The image has more than ${maxBytes} bytes`, "image_too_large");
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks, total));
}
