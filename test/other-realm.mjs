// Runs Kelix in a realm of its own, as Jest does: node --experimental-vm-modules other-realm.mjs DIST/index.js MODEL IMAGE

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [, , main = "", model = "", file = ""] = process.argv;
const own = vm.createContext({});
const inOwn = (/** @type {string} */ code) => vm.runInContext(code, own);
// What is of Node and not of the language; as in Jest, `process` is a copy.
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (!inOwn(`"${name}" in globalThis`)) own[name] = Reflect.get(globalThis, name);
}
own.process = Object.create(process, { env: { value: { ...process.env } } });

/** @type {Map<string, Promise<vm.Module>>} */
const modules = new Map();

function load(/** @type {string} */ url) {
  const module = modules.get(url) ?? (url.includes("/dist/") && url.endsWith(".js") ? source(url) : outside(url));
  modules.set(url, module);
  return module;
}

/** @returns {Promise<vm.Module>} */
async function source(/** @type {string} */ url) {
  return new vm.SourceTextModule(await readFile(new URL(url), "utf8"), {
    context: own,
    identifier: url,
    initializeImportMeta: (meta) => {
      meta.url = url;
    },
    importModuleDynamically: async (name) => link(await load(resolve(name, url))),
  });
}

/** @returns {Promise<vm.Module>} */
async function outside(/** @type {string} */ url) {
  const module = await import(url);
  const names = Object.keys(module);
  const evaluate = () => {
    for (const name of names) copy.setExport(name, module[name]);
  };
  const copy = new vm.SyntheticModule(names, evaluate, { context: own, identifier: url });
  return copy;
}

function resolve(/** @type {string} */ name, /** @type {string} */ from) {
  if (name.startsWith(".") || name.startsWith("file:")) return new URL(name, from).href;
  if (name === "#backend") return new URL("./runtime/backend.node.js", pathToFileURL(main)).href;
  return name.startsWith("node:") ? name : import.meta.resolve(name);
}

async function link(/** @type {vm.Module} */ module) {
  if (module.status === "unlinked") await module.link((name, { identifier }) => load(resolve(name, identifier)));
  if (module.status === "linked") await module.evaluate();
  return module;
}

const { namespace } = await link(await load(pathToFileURL(main).href));
const { Kelix } = /** @type {typeof import("../src/index.ts")} */ (namespace);

const kelix = await Kelix.load(model, { threads: 1 });
own.file = [...(await readFile(file))];
const codes = await kelix.tokenize(inOwn("Uint8Array.from(file)"));
const content = [{ type: "image", image: codes }];
const { text } = await kelix.chat([{ role: "user", content }], { maxNewTokens: 4 }).result();
const drawn = await kelix.reconstruct(codes, { steps: 1 });
await kelix.dispose();
console.log(
  JSON.stringify({
    isOtherRealm: inOwn("Uint16Array") !== Uint16Array && codes.codes instanceof inOwn("Uint16Array"),
    codes: [...codes.codes],
    answer: text,
    pixels: [...drawn.data].slice(0, 300),
    telemetry: process.env.ORT_DISABLE_TELEMETRY,
  }),
);
