// What a browser loads uses nothing of Node: no module, no `Buffer`, no `process`.

import { readFile } from "node:fs/promises";
import { build, type Plugin, transform } from "esbuild";
import { expect, test } from "vitest";

async function bundle(entry: string) {
  const missing: string[] = [];
  const plugin: Plugin = {
    name: "node",
    setup(own) {
      own.onResolve({ filter: /^node:|^(sharp|onnxruntime-node|@huggingface\/hub)$/ }, ({ path, importer }) => {
        if (!importer.includes("node_modules")) missing.push(`${importer}: ${path}`);
        return { path, external: true };
      });
    },
  };
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    conditions: ["kelix-source"],
    plugins: [plugin],
    logLevel: "silent",
  });
  const sources = Object.keys(metafile.inputs).filter((path) => path.startsWith("src/"));
  return { missing, sources, text: outputFiles[0]!.text };
}

test.each(["src/kelix.ts", "src/index.web.ts"])("%s reaches neither node: nor Buffer nor process", async (entry) => {
  const { missing, sources } = await bundle(entry);
  expect(missing).toEqual([]);
  expect(sources).toContain("src/llm/generate.ts");
  expect(sources.filter((path) => /^src\/(hub|quantize|plan|cli|train)\/|\.node\.ts$/.test(path))).toEqual([]);
  for (const path of sources) {
    // Only names that no declaration binds are replaced.
    const define = { Buffer: "FOUND_IN_NODE_ONLY", process: "FOUND_IN_NODE_ONLY", global: "FOUND_IN_NODE_ONLY" };
    const { code } = await transform(await readFile(path, "utf8"), {
      loader: path.endsWith(".js") ? "js" : "ts",
      define,
    });
    expect(code, path).not.toContain("FOUND_IN_NODE_ONLY");
  }
});

test("the check itself finds what Node alone has", async () => {
  const { missing } = await bundle("src/index.ts");
  expect(missing).not.toEqual([]);
});

test("zod's locales and what Node alone needs stay out of the bundle", async () => {
  const { text } = await bundle("src/index.web.ts");
  expect(text.length).toBeLessThan(650_000);
  expect(text).not.toContain("Ungültige Eingabe");
});
