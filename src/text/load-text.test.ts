import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { folderFiles } from "../files/folder.node.ts";
import { loadText } from "./load-text.ts";
import { threadSandbox } from "./sandbox.node.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-text-"));
  await copyFile("models/kelix-nano/tokenizer.json", join(folder, "tokenizer.json"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
const rendered = async () =>
  (await loadText(folderFiles(folder), threadSandbox)).chatTemplate.render([{ role: "user", content: "hi" }]);

test("the template is that of chat_template.jinja, else of chat_template.json, else of tokenizer_config.json, else the released one", async () => {
  expect(await rendered()).toContain("You are a helpful assistant.");
  await write("tokenizer_config.json", { chat_template: "config" });
  expect(await rendered()).toBe("config");
  await write("chat_template.json", { chat_template: [{ name: "default", template: "json" }] });
  expect(await rendered()).toBe("json");
  await write("chat_template.json", { chat_template: null });
  expect(await rendered()).toBe("config");
  await write("chat_template.jinja", "jinja");
  expect(await rendered()).toBe("jinja");
});

test("named tokens of the config are there for the template, as texts or with their settings", async () => {
  const chat_template = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}";
  await write("tokenizer_config.json", {
    chat_template,
    bos_token: { content: "<s>" },
    eos_token: "</s>",
    pad_token: null,
  });
  expect(await rendered()).toBe("<s>hi</s>");
});

test.each<[file: string, message: string, content: unknown]>([
  ["tokenizer_config.json", 'no template named "default"', { chat_template: ["a"] }],
  ["tokenizer_config.json", "is not an object of settings", []],
  ["tokenizer_config.json", "added_tokens_decoder", { added_tokens_decoder: { 5: { content: "" } } }],
  ["chat_template.json", 'it has "rag"', { chat_template: [{ name: "rag", template: "x" }] }],
  ["chat_template.jinja", "is not a Jinja template", "{% for %}"],
  ["chat_template.jinja", "is not a Jinja template", `{{ ${"(".repeat(60_000)}1`],
  ["chat_template.jinja", "200000", " ".repeat(200_001)],
])("%s is rejected by name: %s", async (file, message, content) => {
  await write(file, content);
  const loading = rendered();
  await expect(loading).rejects.toThrow(ModelError);
  await expect(loading).rejects.toThrow(file);
  await expect(loading).rejects.toThrow(message);
});

test("a template that is not UTF-8 is rejected", async () => {
  await writeFile(join(folder, "chat_template.jinja"), Uint8Array.of(0x61, 0xff));
  await expect(loadText(folderFiles(folder), threadSandbox)).rejects.toThrow(
    "chat_template.jinja: is not text in UTF-8",
  );
});
