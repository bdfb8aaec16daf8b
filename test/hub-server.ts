// A small Hugging Face Hub for tests: one repository, its listing in pages, small files served by itself and large ones by a
// store on another port, as the real one does. It misbehaves where it is told to.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";

/** What the server does in place of a good answer. */
export interface Fault {
  /** Sends so many bytes of the body and breaks the connection. */
  readonly cutAfter?: number;
  /** Sends so many bytes of the body, without saying how many it should be, and ends as if that were all. */
  readonly endAfter?: number;
  /** Sends so many bytes of the body and then nothing, with the connection open. */
  readonly stallAfter?: number;
  /** Changes a byte in the middle of the body. */
  readonly isWrong?: boolean;
  /** Sends all of the file whatever range was asked for. */
  readonly ignoresRange?: boolean;
  /** Sends these bytes more than there are, without saying how many it should be. */
  readonly extraBytes?: number;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly redirect?: string;
  /** Compresses whatever it sends, as some proxies do; lengths are then those of what is sent. */
  readonly encoding?: keyof typeof compressors;
  /** Sends this in place of the body, with a length that fits it. */
  readonly body?: string;
}

export interface Seen {
  /** The listing, the Hub's own address of a file, or the store behind it. */
  readonly at: "api" | "file" | "store";
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface HubServerOptions {
  readonly files: Readonly<Record<string, string | Buffer>>;
  readonly repo?: string;
  readonly token?: string;
  /** Called with each request; what it gives is done in place of a good answer. */
  readonly fault?: (seen: Seen) => Fault | undefined;
  /** Entries of the listing in place of those that the files make. */
  readonly entries?: readonly object[];
  /** Address of the second page of the listing in place of the real one. */
  readonly nextPage?: string;
  /** Bytes of a body are sent in pieces of this size with a pause between them. */
  readonly slowly?: { readonly pieceBytes: number; readonly pauseMs: number };
}

const compressors = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: gzipSync };

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const ENTRIES_PER_PAGE = 2;
const LARGE_BYTES = 1000;

export class HubServer {
  readonly commit = COMMIT;
  readonly seen: Seen[] = [];
  /** May be changed between requests. */
  options: HubServerOptions;
  readonly #hub: Server;
  readonly #store: Server;

  private constructor(options: HubServerOptions) {
    this.options = options;
    this.#hub = createServer((request, response) => this.#answerHub(request, response));
    this.#store = createServer((request, response) => this.#answerStore(request, response));
  }

  static async start(options: HubServerOptions): Promise<HubServer> {
    const server = new HubServer(options);
    for (const part of [server.#hub, server.#store])
      await new Promise<void>((resolve) => part.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get endpoint(): string {
    return addressOf(this.#hub);
  }

  get store(): string {
    return addressOf(this.#store);
  }

  /** Requests of one kind since the last `seen.length = 0`. */
  count(at: Seen["at"]): number {
    return this.seen.filter((seen) => seen.at === at).length;
  }

  async stop(): Promise<void> {
    for (const part of [this.#hub, this.#store]) {
      part.closeAllConnections();
      await new Promise((resolve) => part.close(resolve));
    }
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.endpoint);
    const isApi = url.pathname.startsWith("/api/");
    const fault = this.#see(isApi ? "api" : "file", url.pathname, request);
    if (answersAtOnce(fault, response)) return;
    const { repo = "owner/tiny", token } = this.options;
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401, { "X-Error-Code": "RepoNotFound" }).end();
      return;
    }
    if (url.pathname.startsWith(`/api/models/${repo}/revision/`)) {
      const revision = decodeURIComponent(url.pathname.split("/").at(-1) ?? "");
      if (!["main", "v1", COMMIT].includes(revision)) {
        response.writeHead(404, { "X-Error-Code": "RevisionNotFound" }).end();
        return;
      }
      sendJson(response, { _id: "1", id: repo, sha: COMMIT, lastModified: "2026-01-01T00:00:00.000Z" }, fault);
    } else if (url.pathname === `/api/models/${repo}/tree/${COMMIT}`) {
      const entries = this.options.entries ?? this.#entries();
      const start = Number(url.searchParams.get("cursor") ?? 0);
      const end = start + ENTRIES_PER_PAGE;
      url.searchParams.set("cursor", String(end));
      const next = this.options.nextPage ?? url.href;
      if (end < entries.length) response.setHeader("Link", `<${next}>; rel="next"`);
      sendJson(response, entries.slice(start, end), fault);
    } else {
      const name = decodeURIComponent(url.pathname.slice(`/${repo}/resolve/${COMMIT}/`.length));
      const content = this.#content(name);
      if (!content) {
        response.writeHead(404, { "X-Error-Code": "EntryNotFound" }).end();
        return;
      }
      response.setHeader("X-Repo-Commit", COMMIT);
      if (content.length < LARGE_BYTES) {
        response.setHeader("ETag", `"${gitHash(content)}"`);
        void this.#send(request, response, content, fault);
        return;
      }
      response.writeHead(302, {
        Location: `${this.store}/${encodeURIComponent(name)}?signature=1`,
        "X-Linked-Etag": `"${sha256(content)}"`,
        "X-Linked-Size": content.length,
      });
      response.end();
    }
  }

  #answerStore(request: IncomingMessage, response: ServerResponse): void {
    const name = decodeURIComponent(new URL(request.url ?? "/", this.store).pathname.slice(1));
    const fault = this.#see("store", name, request);
    if (answersAtOnce(fault, response)) return;
    void this.#send(request, response, this.#content(name) ?? Buffer.alloc(0), fault);
  }

  #see(at: Seen["at"], path: string, { headers }: IncomingMessage): Fault {
    const seen = { at, path, range: headers.range, authorization: headers.authorization };
    this.seen.push(seen);
    return this.options.fault?.(seen) ?? {};
  }

  #content(name: string): Buffer | undefined {
    const content = this.options.files[name];
    return content === undefined ? undefined : Buffer.from(content);
  }

  #entries(): object[] {
    return Object.keys(this.options.files).map((path) => {
      const content = this.#content(path) ?? Buffer.alloc(0);
      const lfs = { oid: sha256(content), size: content.length, pointerSize: 134 };
      return {
        type: "file",
        path,
        size: content.length,
        oid: gitHash(content),
        ...(content.length >= LARGE_BYTES && { lfs }),
      };
    });
  }

  async #send(request: IncomingMessage, response: ServerResponse, content: Buffer, fault: Fault): Promise<void> {
    const from = fault.ignoresRange ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    let body = Buffer.from(content.subarray(from));
    if (fault.isWrong) body[body.length >> 1]! ^= 1;
    if (fault.extraBytes) body = Buffer.concat([body, Buffer.alloc(fault.extraBytes)]);
    if (fault.encoding) body = compressors[fault.encoding](body);
    const hasLength = fault.endAfter === undefined && fault.extraBytes === undefined;
    response.writeHead(from > 0 ? 206 : 200, {
      ...(hasLength && { "Content-Length": body.length }),
      ...(fault.encoding && { "Content-Encoding": fault.encoding }),
      ...(from > 0 && { "Content-Range": `bytes ${from}-${content.length - 1}/${content.length}` }),
      ...fault.headers,
    });
    const sent = body.subarray(0, fault.cutAfter ?? fault.endAfter ?? fault.stallAfter);
    const { pieceBytes, pauseMs } = this.options.slowly ?? { pieceBytes: 1 << 20, pauseMs: 0 };
    for (let start = 0; start < sent.length && !response.destroyed; start += pieceBytes) {
      await new Promise((resolve) => response.write(sent.subarray(start, start + pieceBytes), resolve));
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    if (fault.stallAfter !== undefined) return;
    if (fault.cutAfter === undefined) response.end();
    // Not destroyed: that would take back bytes that are on their way.
    else response.socket?.end();
  }
}

function answersAtOnce({ status, redirect, body, headers }: Fault, response: ServerResponse): boolean {
  if (redirect !== undefined) response.writeHead(302, { Location: redirect }).end();
  else if (body !== undefined || status !== undefined)
    response.writeHead(status ?? 200, { ...headers, "Content-Length": Buffer.byteLength(body ?? "") }).end(body);
  else return false;
  return true;
}

function sendJson(response: ServerResponse, value: unknown, { encoding }: Fault): void {
  const text = Buffer.from(JSON.stringify(value));
  if (encoding) response.setHeader("Content-Encoding", encoding);
  response.setHeader("Content-Type", "application/json").end(encoding ? compressors[encoding](text) : text);
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function gitHash(bytes: Buffer): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
