import { expect, test } from "vitest";
import { fileFilter, globPattern } from "./wanted-files.ts";

const select = (...paths: string[]) => paths.filter(fileFilter());

test("takes weights, configs, tokenizers and templates of every folder", () => {
  const wanted = [
    "config.json",
    "model-00001-of-00006.safetensors",
    "model.safetensors.index.json",
    "merges.txt",
    "tokenizer.model",
  ];
  const inside = [
    "dit/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "chat_template.jinja",
    "tokenizer/vocab.txt",
  ];
  expect(select(...wanted, ...inside)).toEqual([...wanted, ...inside]);
});

test("takes no pickles, program code, other formats or texts for people", () => {
  const others = [".gitattributes", "README.md", "LICENSE", "pytorch_model.bin", "optimizer.pt", "modeling_kelix.py"];
  expect(select(...others, "onnx/model.onnx", "requirements.txt", "model.gguf", "figure.png", "json")).toEqual([]);
});

// As Python's fnmatch, which Hugging Face's tools use.
test.each([
  ["*.json", "a/b.json", true],
  ["vae/*", "vae/a/b.json", true],
  ["vae/", "vae/config.json", true],
  ["vae/", "vae2/config.json", false],
  ["config.json", "a/config.json", false],
  ["model-0000?-of-*", "model-00003-of-00006.safetensors", true],
  ["model-0000[1-3]*", "model-00003-of-00006.safetensors", true],
  ["model-0000[!1-3]*", "model-00003-of-00006.safetensors", false],
  ["a.json", "a_json", false],
  ["a+(b)|[c", "a+(b)|[c", true],
  ["a[z-a]", "az", false],
  ["a[z-a-]", "a-", true],
  ["a[!z-a]", "ab", true],
  ["a[*-]b", "a*b", true],
  ["*-of-*.json", "x-of-y-of-z.json", true],
])("the pattern %s for %s: %s", (glob, path, isMatch) => {
  expect(globPattern(glob).test(path)).toBe(isMatch);
});

test("is quick for any path", () => {
  expect(globPattern(`${"*a".repeat(40)}*b`).test("a".repeat(1024))).toBe(false);
});
