import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const module = fileURLToPath(new URL("../dist/runtime/telemetry.node.js", import.meta.url));

/** What native code, and so a child process, finds in the environment after `program` ran. */
async function setting(program: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { ORT_DISABLE_TELEMETRY, ...others } = process.env;
  const code = `${program}; console.log(require("node:child_process").execSync("printenv ORT_DISABLE_TELEMETRY || echo absent").toString().trim())`;
  const args = ["--input-type=commonjs", "-e", `(async () => { ${code} })()`];
  return (await promisify(execFile)(process.execPath, args, { env: { ...others, ...env } })).stdout.trim();
}

const load = `await (await import(${JSON.stringify(module)})).silenceTelemetry()`;
const inWorker = `await new Promise((done) => new (require("node:worker_threads").Worker)(
  ${JSON.stringify(`(async () => { ${load} })()`)}, { eval: true }).on("exit", done))`;

test("usage reports are switched off when the library is imported, unless the user switched them on", async () => {
  expect(await setting("", {})).toBe("absent");
  expect(await setting(load, {})).toBe("1");
  expect(await setting(load, { ORT_DISABLE_TELEMETRY: "" })).toBe("1");
  expect(await setting(load, { ORT_DISABLE_TELEMETRY: "0" })).toBe("0");
});

test("a worker thread switches them off for the whole process, which alone has an environment", async () => {
  expect(await setting(inWorker, {})).toBe("1");
  expect(await setting(inWorker, { ORT_DISABLE_TELEMETRY: "0" })).toBe("0");
});
