import { expect, test } from "vitest";
import { httpApp } from "../../../test/http-app.ts";

const CONFIG = "/kelix-nano/config.json";

test("gives the model for the browser, isolated and without a key", async () => {
  const { ask } = httpApp({ apiKeys: ["secret"] });
  const { status, headers, json } = await ask(CONFIG);
  expect(status).toBe(200);
  expect(json).toHaveProperty("qwen_config");
  expect(headers.get("cross-origin-embedder-policy")).toBe("require-corp");
  expect(headers.get("content-type")).toBe("application/json");
  expect((await ask("/v1/models")).status).toBe(401);
});

test("gives no other file, however it is asked for", async () => {
  const { ask } = httpApp();
  for (const path of [
    "/kelix-nano/",
    "/kelix-nano/../../package.json",
    "/kelix-nano/..%2f..%2fpackage.json",
    "/kelix-nano//config.json",
  ])
    expect((await ask(path)).status, path).toBe(404);
  expect((await ask(CONFIG, { method: "POST" })).status).toBe(404);
});

test("gives ONNX Runtime's files for WebGPU, and no others of it", async () => {
  const { ask } = httpApp();
  const { status, headers } = await ask("/ort/ort-wasm-simd-threaded.asyncify.mjs", { method: "HEAD" });
  expect([status, headers.get("content-type")]).toEqual([200, "text/javascript; charset=utf-8"]);
  expect((await ask("/ort/ort.min.js")).status).toBe(404);
});

test("answers HEAD with the length alone", async () => {
  const { ask } = httpApp();
  const { headers, text } = await ask(CONFIG, { method: "HEAD" });
  expect(Number(headers.get("content-length"))).toBeGreaterThan(100);
  expect(text).toBe("");
});
