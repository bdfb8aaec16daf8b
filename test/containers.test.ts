// Dockerfile, compose.yaml and prometheus.yml: linted, and held to what docs/server.md says of them. They are not built or run here.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { validate } from "dockerfile-utils";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { runCli } from "./run-cli.ts";

const dockerfile = readFileSync("Dockerfile", "utf8");

test("the Dockerfile is valid, ends as nobody special, without what it was built with", () => {
  expect(validate(dockerfile)).toEqual([]);
  const [, ...stages] = dockerfile.split(/^FROM /m);
  const last = stages.at(-1)!;
  expect(last).toMatch(/^USER 1000:1000$/m);
  expect(last).toMatch(/^HEALTHCHECK /m);
  expect(last).not.toMatch(/^RUN |\bapt|npm /m);
  expect(last).not.toMatch(/COPY --from=build \/kelix\/node_modules/);
  for (const [, path] of dockerfile.matchAll(/COPY --from=build \/kelix\/(\S+)/g)) {
    expect(["dist", "models", "configs"]).toContain(path);
  }
  expect(validate(dockerfile.replace("USER 1000", "USR 1000"))).not.toEqual([]); // it would find a fault
});

/** What dclint says of a compose file, its wishes about order and quotes apart. */
async function faultsOf(text: string): Promise<unknown[]> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-compose-"));
  const file = join(folder, "compose.yaml");
  await writeFile(file, text);
  const lint = spawnSync("node_modules/.bin/dclint", [file, "--quiet", "--formatter", "json"], { encoding: "utf8" });
  await rm(folder, { recursive: true });
  const found = JSON.parse(lint.stdout) as { readonly messages: readonly { readonly type: string }[] }[];
  return found.flatMap(({ messages }) => messages.filter(({ type }) => type === "error"));
}

test("compose.yaml follows the schema, and its commands are commands of kelix", async () => {
  const text = readFileSync("compose.yaml", "utf8");
  expect(await faultsOf(text)).toEqual([]);
  expect(await faultsOf(text.replace("read_only:", "reed_only:"))).not.toEqual([]); // it would find a fault
  const { services } = parse(text, { merge: true });
  expect(Object.keys(services).sort()).toEqual(["prometheus", "redis", "server-1", "server-2", "worker"]);
  for (const [name, service] of Object.entries<Record<string, unknown>>(services)) {
    const locked = { read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] };
    expect(service, name).toMatchObject(locked);
    // Those of our image have their user and health check from the Dockerfile.
    if (service.build === undefined) expect(service, name).toMatchObject({ user: expect.any(String), healthcheck: {} });
  }
  const { err } = await runCli([...services.worker.command, "--lock", "none"]);
  expect(err).toContain("--lock"); // every other flag is known
  const { scrape_configs } = parse(readFileSync("prometheus.yml", "utf8"));
  const targets = scrape_configs.flatMap(({ static_configs }: { static_configs: { targets: string[] }[] }) =>
    static_configs.flatMap(({ targets }) => targets),
  );
  expect(targets).toEqual(["server-1:8080", "server-2:8080", "worker:9464"]);
});
