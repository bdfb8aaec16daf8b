import { createServer } from "node:net";
import { inspect } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { explainConnection } from "./connection-error.ts";
import { proxyHint } from "./proxy-hint.ts";

afterEach(() => vi.unstubAllEnvs());

const failed = (code: string) =>
  new TypeError("fetch failed", { cause: Object.assign(new Error(`connect ${code}`), { code }) });

test.each([
  ["ECONNREFUSED", /connection was refused; .*\(ECONNREFUSED\)/, true],
  ["ENOTFOUND", /name is not known \(ENOTFOUND\)/, true],
  ["EAI_AGAIN", /could not be looked up/, true],
  ["ECONNRESET", /connection was cut/, true],
  ["UND_ERR_SOCKET", /connection was cut/, true],
  ["UND_ERR_CONNECT_TIMEOUT", /no answer came in time/, true],
  ["ETIMEDOUT", /no answer came in time/, true],
  ["ENETUNREACH", /no way to the host/, true],
  ["Z_DATA_ERROR", /cannot be decompressed/, true],
  ["CERT_HAS_EXPIRED", /certificate is not trusted/, false],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", /certificate is not trusted/, false],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", /NODE_EXTRA_CA_CERTS/, false],
  ["ERR_TLS_CERT_ALTNAME_INVALID", /certificate is not trusted/, false],
  ["ERR_SSL_WRONG_VERSION_NUMBER", /does not speak TLS/, false],
  ["HPE_INVALID_CONSTANT", /is not HTTP/, false],
  ["ESOMETHING", /reason that is not known \(ESOMETHING\)/, false],
])("%s is told in words", (code, words, canRetry) => {
  expect(explainConnection(failed(code))).toMatchObject({ reason: expect.stringMatching(words), canRetry });
});

test("tells the reasons that fetch has no code for", async () => {
  const reasonOf = (url: string) => fetch(url).then(String, (error) => explainConnection(error).reason);
  expect(await reasonOf("http://127.0.0.1:1/")).toBe("fetch does not connect to this port");
  const server = createServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  expect(await reasonOf(`http://127.0.0.1:${port}/`)).toMatch(/^what came is not HTTP/);
  server.close();
});

test("keeps no secret of fetch's in the cause, however it is printed", async () => {
  const error = await fetch("http://user:SECRET@127.0.0.1:9/x?SECRET").catch((error: unknown) => error);
  const { cause } = explainConnection(error);
  expect(inspect(error)).toContain("SECRET");
  expect(inspect(cause, { depth: 9 })).not.toContain("SECRET");
});

test("tells of a proxy that Node does not use", () => {
  vi.stubEnv("HTTPS_PROXY", "http://user:SECRET@proxy:3128");
  vi.stubEnv("NODE_USE_ENV_PROXY", "");
  expect(explainConnection(failed("ENOTFOUND"), proxyHint).reason).toMatch(
    /; HTTPS_PROXY is set, .* NODE_USE_ENV_PROXY=1$/,
  );
  expect(explainConnection(failed("CERT_HAS_EXPIRED"), proxyHint).reason).not.toContain("PROXY");
  vi.stubEnv("NODE_USE_ENV_PROXY", "1");
  expect(explainConnection(failed("ENOTFOUND"), proxyHint).reason).not.toContain("PROXY");
});
