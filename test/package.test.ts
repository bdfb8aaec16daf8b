// What npm packs: all that the README, --help and package.json name, and nothing of the machine it was packed on.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { runCli } from "./run-cli.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFile(`${root}${path}`, "utf8");
let paths: string[];
let unpackedBytes: number;
beforeAll(async () => {
  const { stdout } = await promisify(execFile)("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as [{ files: { path: string }[]; unpackedSize: number }];
  paths = packed.files.map(({ path }) => path);
  unpackedBytes = packed.unpackedSize;
}, 120_000);

const isPacked = (target: string) => paths.some((path) => path === target || path.startsWith(`${target}/`));

test("holds what the README links to, and the settings and models that it and --help name", async () => {
  const readme = await read("README.md");
  const help = await runCli(["train", "--help"]);
  const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link!.replace(/\/$/, ""));
  const named = [...`${readme}\n${help.out}`.matchAll(/\b(?:configs|models|examples)\/[\w./-]*[\w/]/g)].map(([name]) =>
    name.replace(/\/$/, ""),
  );
  expect(links.length).toBeGreaterThan(5);
  expect(named).toContain("configs/nano/tokenizer.json");
  expect([...links, ...named].filter((target) => !isPacked(target))).toEqual([]);
});

test("holds every file that package.json names", async () => {
  const { exports, bin, imports } = JSON.parse(await read("package.json"));
  const targets: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value === "string") targets.push(value.replace(/^\.\//, ""));
    else for (const [key, inner] of Object.entries(value as object)) if (key !== "kelix-source") walk(inner);
  };
  walk([exports, bin, imports]);
  expect(targets).toContain("dist/cli/main.js");
  expect(targets.filter((target) => !isPacked(target))).toEqual([]);
});

test("holds no tests, sources, secrets or paths of a machine, and stays of a reasonable size", async () => {
  expect(
    paths.filter((path) => /\.test\.|^(src|test|node_modules|runs)\/|\.(tmp|partial|log|tgz|env)$/.test(path)),
  ).toEqual([]);
  const texts = paths.filter((path) => /\.(js|ts|json|md|jinja)$/.test(path));
  for (const path of texts)
    expect(await read(path), path).not.toMatch(/\/(home|root|Users|tmp)\/[\w.-]+|\bhf_[A-Za-z0-9]{30,}|PRIVATE KEY/);
  expect(unpackedBytes).toBeLessThan(60e6);
});
