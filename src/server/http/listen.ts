// The HTTP server: limits on connections and headers, and a shutdown that lets answers finish.

import http, { type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { InputError } from "../../errors.ts";
import { ApiError, toApiError } from "./api-error.ts";
import { createApp } from "./app.ts";
import type { Service } from "./service.ts";

export interface ListenOptions {
  /** 0 for any free port. */
  readonly port: number;
  /** Maximum number of connections, including idle ones. */
  readonly maxConnections?: number;
  /** For a request's headers. */
  readonly headersTimeoutMs?: number;
  /** For a whole request, including its body. */
  readonly requestTimeoutMs?: number;
}

export interface HttpServer {
  readonly url: string;
  readonly port: number;
  /** Accepts no more connections, gives answers `graceMs` to finish, and closes the rest. Safe to call twice. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

const MAX_HEADER_BYTES = 16_384;
const CHECK_MS = 2000;

/** Listens on the host of the settings. Rejects with an InputError if that fails. */
export async function listen(
  service: Service,
  { port, maxConnections = 4096, headersTimeoutMs = 10_000, requestTimeoutMs = 60_000 }: ListenOptions,
): Promise<HttpServer> {
  const { host, log } = service.settings;
  const app = createApp(service);
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    // Errors before there is a Request, such as a Host header with a space.
    errorHandler: (error) => {
      log.info({ err: error }, "a malformed request");
      const isRequest = error instanceof Error && error.name === "RequestError";
      const failure = isRequest ? malformed() : toApiError(error);
      return Response.json(failure.body, { status: failure.status });
    },
  });
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersTimeoutMs),
    keepAliveTimeout: 5000,
    noDelay: true,
    requireHostHeader: false, // node-server requires it, and its error is answered as JSON
  };
  const server = http.createServer(options, (incoming, outgoing) => void listener(incoming, outgoing));
  server.maxConnections = maxConnections;
  server.on("clientError", refuse);
  await start(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${bound}`;
  let closing: Promise<void> | undefined;
  return {
    url,
    port: bound,
    close: ({ graceMs = 0 } = {}) => {
      closing ??= stop(server, graceMs);
      return closing;
    },
  };
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use; choose another with --port, or 0 for any",
  EACCES: "requires more privileges; choose a port above 1023 with --port",
  EADDRNOTAVAIL: "is not an address of this machine",
  ENOTFOUND: "is an unknown host name",
};

function start(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const reason = reasons[cause.code ?? ""] ?? `cannot be opened (${cause.code})`;
      reject(new InputError(`Port ${port} of ${host} ${reason}`, { code: "invalid_option", cause }));
    });
    server.listen(port, host, resolve);
  });
}

async function stop(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  // A connection whose answer ends from now on is idle, and would be kept alive for a while.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  server.closeIdleConnections();
  await closed;
  clearTimeout(timer);
  clearInterval(sweep);
}

function malformed(): ApiError {
  return new ApiError(400, "The request is malformed", { code: "malformed_request" });
}

const faults: Readonly<Record<string, ApiError>> = {
  ERR_HTTP_REQUEST_TIMEOUT: new ApiError(408, "The request was not complete in time", { code: "request_timeout" }),
  HPE_HEADER_OVERFLOW: new ApiError(431, `The headers have more than ${MAX_HEADER_BYTES} bytes`, {
    code: "headers_too_large",
  }),
};

/** Answers what Node's parser rejects, in the usual form. */
function refuse(error: NodeJS.ErrnoException, socket: import("node:stream").Duplex): void {
  if (!socket.writable || (socket as Socket & { _httpMessage?: unknown })._httpMessage) {
    socket.destroy(); // an answer is being sent
    return;
  }
  const { status, body } = faults[error.code ?? ""] ?? malformed();
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}
