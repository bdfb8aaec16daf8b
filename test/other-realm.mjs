// Runs a module of Node's in a realm of its own, as Jest does: node --experimental-vm-modules other-realm.mjs FILE [ARGUMENTS]

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const own = vm.createContext({});
// What is of Node and not of the language; as in Jest, `process` is a copy.
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (!vm.runInContext(`"${name}" in globalThis`, own)) own[name] = globalThis[name];
}
own.process = Object.create(process, { env: { value: { ...process.env } } });

const modules = new Map();

function load(url) {
  if (!modules.has(url)) modules.set(url, url.endsWith(".js") && url.includes("/dist/") ? source(url) : outside(url));
  return modules.get(url);
}

async function source(url) {
  return new vm.SourceTextModule(await readFile(new URL(url), "utf8"), {
    context: own,
    identifier: url,
    initializeImportMeta: (meta) => {
      meta.url = url;
    },
    importModuleDynamically: async (name) => link(await load(resolve(name, url))),
  });
}

async function outside(url) {
  const module = await import(url);
  return new vm.SyntheticModule(
    Object.keys(module),
    function () {
      for (const name of Object.keys(module)) this.setExport(name, module[name]);
    },
    { context: own, identifier: url },
  );
}

function resolve(name, from) {
  if (name.startsWith(".") || name.startsWith("file:")) return new URL(name, from).href;
  if (name === "#backend") return new URL("./runtime/backend.node.js", root).href;
  return name.startsWith("node:") ? name : import.meta.resolve(name);
}

async function link(module) {
  if (module.status === "unlinked") await module.link((name, { identifier }) => load(resolve(name, identifier)));
  if (module.status === "linked") await module.evaluate();
  return module;
}

const root = pathToFileURL(process.argv[2]).href;
const { Kelix } = (await link(await load(root))).namespace;
const inOwn = (code) => vm.runInContext(code, own);

const kelix = await Kelix.load(process.argv[3], { threads: 1 });
own.file = [...(await readFile(process.argv[4]))];
const codes = await kelix.tokenize(inOwn("Uint8Array.from(file)"));
const pieces = [];
const content = [{ type: "image", image: codes }];
for await (const piece of kelix.chat([{ role: "user", content }], { maxNewTokens: 4 })) pieces.push(piece);
const image = await kelix.reconstruct(codes, { steps: 1 });
await kelix.dispose();
console.log(
  JSON.stringify({
    isOtherRealm: inOwn("Uint16Array") !== Uint16Array && codes.codes instanceof inOwn("Uint16Array"),
    codes: [...codes.codes],
    answer: pieces.join(""),
    pixels: [...image.data].slice(0, 300),
    telemetry: process.env.ORT_DISABLE_TELEMETRY,
  }),
);
