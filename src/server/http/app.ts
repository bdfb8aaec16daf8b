// The HTTP side as one function from Request to Response: middleware for all routes, then the routes.

import { randomUUID } from "node:crypto";
import { Hono, type MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { checkHost, checkKey, checkOrigin } from "./access.ts";
import { ApiError, toApiError } from "./api-error.ts";
import { discardBody } from "./body.ts";
import { HttpMetrics, showMetrics } from "./health.ts";
import { repeatable } from "./idempotency.ts";
import { openApi } from "./openapi.ts";
import { servePage } from "./page.ts";
import { type Route, routes } from "./routes.ts";
import type { HttpContext, HttpEnv, Service } from "./service.ts";

/** nginx's status for a client that left before its answer, which is not the server's failure. For metrics and the log only. */
const CLIENT_LEFT = 499;

/** Creates the app. All errors are answered as JSON; it never throws. */
export function createApp(service: Service): Hono<HttpEnv> {
  const { settings, engine } = service;
  const metrics = new HttpMetrics();
  const document = openApi(routes);
  const table: readonly Route[] = [
    ...routes,
    {
      method: "get",
      path: "/openapi.json",
      about: "this document",
      gives: ["application/json"],
      run: (_, c) => c.json(document as object),
    },
    {
      method: "get",
      path: "/metrics",
      about: "metrics for Prometheus",
      gives: ["text/plain"],
      run: (service, c) => showMetrics(service, c, metrics),
    },
  ];
  const app = new Hono<HttpEnv>();
  app.use(watch(service, metrics));
  app.use(checkHost(settings));
  app.use(checkOrigin(settings));
  app.use(servePage());
  app.use(checkKey(settings));
  app.use(repeatable(service));
  for (const { method, path, run } of table) app.on(method, path, (c) => run(service, c));
  for (const path of new Set(table.map(({ path }) => path))) {
    const allowed = table.filter((route) => route.path === path).map(({ method }) => method.toUpperCase());
    app.all(path, () => {
      throw new ApiError(405, `This path takes ${allowed.join(", ")}`, {
        code: "method_not_allowed",
        headers: { allow: allowed.join(", ") },
      });
    });
  }
  app.notFound((c) =>
    fail(c, new ApiError(404, "There is no such path; /openapi.json lists them", { code: "not_found" })),
  );
  app.onError(async (error, c) => {
    await discardBody(c, settings.limits);
    const failure = toApiError(error);
    if (failure.status >= 500 && !c.req.raw.signal.aborted) {
      const { code, cause } = failure;
      const level = code === "draining" ? "info" : "error";
      settings.log[level]({ requestId: c.get("requestId"), err: cause ?? error }, "a request failed");
    }
    if (engine.state === "draining") c.header("connection", "close");
    return fail(c, failure);
  });
  return app;
}

function fail(c: HttpContext, { status, body, headers }: ApiError): Response {
  return c.json(body, status as 400, { ...headers });
}

/** Gives each request an id, and counts and logs it when its answer has ended. */
function watch({ settings: { log } }: Service, metrics: HttpMetrics): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const began = performance.now();
    const given = c.req.header("x-request-id") ?? "";
    const requestId = /^[\w.-]{1,64}$/.test(given) ? given : `req_${randomUUID()}`;
    c.set("requestId", requestId);
    c.set("key", "");
    c.set("logged", {});
    c.header("x-request-id", requestId);
    await next();
    const { method } = c.req;
    // An unknown path may contain anything, so it is not logged.
    const pattern = routePath(c, -1);
    const route = pattern.startsWith("/") && pattern !== "/*" ? pattern : "none";
    const answered = c.res.status;
    const end = () => {
      const ms = Math.round(performance.now() - began);
      const hasLeft = outgoing !== undefined && !outgoing.writableFinished;
      const status = hasLeft && answered >= 500 ? CLIENT_LEFT : answered;
      metrics.count(route, status, ms / 1000);
      const facts = { requestId, method, route, status, ms, key: c.get("key"), ...c.get("logged") };
      log.info({ ...facts, ...(hasLeft && { left: true }) }, "request");
    };
    const outgoing = c.env?.outgoing;
    if (outgoing && !outgoing.destroyed) outgoing.once("close", end);
    else end();
  };
}
