// Access control: the Host header, origins of web pages, API keys.

import { createHash, timingSafeEqual } from "node:crypto";
import { BlockList, isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { ApiError } from "./api-error.ts";
import type { HttpEnv } from "./service.ts";
import type { HttpSettings } from "./settings.ts";

/** API paths that need no key. */
export const publicPaths: ReadonlySet<string> = new Set(["/livez", "/readyz", "/health", "/openapi.json"]);

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether an address is reachable from this machine only. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  return family === 0 ? host === "localhost" : loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}

/**
 * On a loopback address, the Host header must name this machine. Otherwise a web page could use DNS rebinding to act like a local
 * program.
 */
export function checkHost({ host }: HttpSettings): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    if (isLoopback(host)) {
      const names = [new URL(c.req.url).hostname, nameOf(`http://${c.req.header("host") ?? "localhost"}`)];
      if (!names.every((name) => name !== undefined && isLocalName(name))) {
        throw new ApiError(403, "The Host header does not name this server; use localhost or 127.0.0.1", {
          code: "host_not_allowed",
        });
      }
    }
    await next();
  };
}

function nameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function isLocalName(name: string): boolean {
  const plain = name.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  return isLoopback(plain) || plain.endsWith(".localhost");
}

/** Rejects requests of web pages of other origins, except allowed ones, which get CORS headers. */
export function checkOrigin({ corsOrigins }: HttpSettings): MiddlewareHandler<HttpEnv> {
  const allowsAll = corsOrigins.includes("*");
  const allow = cors({
    origin: allowsAll ? "*" : [...corsOrigins],
    allowMethods: ["GET", "POST"],
    exposeHeaders: ["x-request-id", "retry-after", "idempotent-replayed"],
    maxAge: 600,
  });
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (origin === undefined || nameAndPort(origin) === c.req.header("host")) return next();
    if (allowsAll || corsOrigins.includes(origin)) return allow(c, next);
    throw new ApiError(403, "Requests from this origin are not allowed; start the server with --cors ORIGIN", {
      code: "origin_not_allowed",
    });
  };
}

function nameAndPort(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Sets `key` to a hash of the client's key, by which requests take turns. Throws a 401 for a missing or wrong key. */
export function checkKey({ apiKeys }: HttpSettings): MiddlewareHandler<HttpEnv> {
  const known = apiKeys.map(hash);
  return async (c, next) => {
    if (known.length === 0) c.set("key", "");
    else if (!publicPaths.has(c.req.path)) {
      const [, token] = /^bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "") ?? [];
      const given = hash(token ?? "");
      // All keys are compared, each in constant time, so that timing reveals nothing.
      const found = known.filter((key) => timingSafeEqual(key, given)).length > 0;
      if (token === undefined || !found) {
        const what = token === undefined ? "No API key was given" : "The API key is wrong";
        throw new ApiError(401, `${what}; send the header "Authorization: Bearer KEY"`, {
          code: "invalid_api_key",
          headers: { "www-authenticate": "Bearer" },
        });
      }
      c.set("key", given.toString("hex").slice(0, 16));
    }
    await next();
  };
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
