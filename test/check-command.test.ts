// kelix check as a user meets it: the built program, whose report is pasted into issues.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CheckReport } from "../src/check/check.ts";
import { runCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-check-command-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const check = (...args: string[]) =>
  runCli(["check", ...args], { env: { HOME: root, HF_HUB_OFFLINE: "1", HF_TOKEN: "hf_secretsecretsecret" } });

test("prints one report on stdout and nothing else, for the model that ships", async () => {
  const { status, out, err } = await check();
  expect([status, err]).toEqual([0, ""]);
  expect(out).toMatch(/^```\nkelix check\nkelix +\d+\.\d+.*\nanswer +\d.* text ".*\nresult +ok\n```\n$/s);
});

test("ends with status 1 and one line when a part fails, and tells nobody's home or token", async () => {
  const model = await writeTinyModel(join(root, "models", "tiny"));
  await writeFile(join(model, "chat_template.jinja"), "{{ raise_exception('I do not speak hf_secretsecretsecret') }}");
  const { status, out, err } = await check(model, "--skip", "imagine", "--json");
  expect([status, err]).toEqual([1, "kelix: answer: failed, see the report\n"]);
  const report = JSON.parse(out) as CheckReport;
  expect(report.model).toBe("~/models/tiny");
  expect(report.tasks.map(({ status }) => status)).toEqual(["ok", "ok", "ok", "ok", "ok", "failed", "skipped"]);
  expect(out).not.toContain(root);
  expect(out).not.toContain("secret");
});

test("reports a model that does not load", async () => {
  const { status, out, err } = await check(join(root, "none"));
  expect([status, err]).toEqual([1, "kelix: load: failed, see the report\n"]);
  expect(out).toMatch(/\nload +FAILED after .*no such model folder/);
});
