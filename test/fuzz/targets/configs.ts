// JSON of a model's folder, of a run, and of servers: the strict reader, and what each file may say.

import { readFile } from "node:fs/promises";
import { parseJson } from "../../../src/checkpoint/strict-json.ts";
import { parseAutoencoderConfig, parseDitConfig } from "../../../src/detokenizer/config.ts";
import { parseHubAnswer } from "../../../src/files/hub-answer.ts";
import { parseListing } from "../../../src/files/listing.ts";
import { memoryFiles } from "../../../src/files/memory.ts";
import { parseKeyeArConfig } from "../../../src/llm/config.ts";
import { readAdapter } from "../../../src/model/adapter.ts";
import { parseGenerationConfig, parsePreprocessorConfig } from "../../../src/model/config.ts";
import { declareAutoencoder, declareAutoregressive, declareTransformer } from "../../../src/model/declare.ts";
import { runSchema } from "../../../src/train/config.ts";
import { parseSettings } from "../../../src/train/settings.ts";
import { parseTokenizerConfig } from "../../../src/vision/config.ts";
import { json, same, type Target, utf8 } from "../target.ts";

const skip = () => undefined;

/** A file of JSON and what reads it. */
function config(name: string, paths: readonly string[], read: (value: unknown, file: string) => unknown): Target {
  return {
    name,
    kind: "memory",
    seeds: () => Promise.all(paths.map((path) => readFile(path))),
    run: (bytes) => read(parseJson(bytes, `${name}.json`), `${name}.json`),
  };
}

const nano = "models/kelix-nano";
const adapter = "test/peft/adapter";

export const configTargets: readonly Target[] = [
  {
    name: "strict-json",
    kind: "memory",
    seeds: async () => [
      utf8('{"a":[1,2.5e3,{"b":null}],"c":"d\\u00e9\\ud83d\\ude42"}'),
      utf8(' [ true , false , "x" ] '),
      utf8('{"a":1,"\\u0061":2}'),
    ],
    run(bytes) {
      const value = parseJson(bytes, "a.json");
      same(value, JSON.parse(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)), "the value");
    },
  },
  config("ar-config", [`${nano}/config.json`, "test/released/as-saved/config.json"], (value, file) =>
    parseKeyeArConfig(value, file, skip),
  ),
  config("own-ar-config", [`${nano}/config.json`], (value, file) => parseKeyeArConfig(value, file)),
  {
    ...config("tokenizer-part-config", [], (value, file) => parseTokenizerConfig(value, file, skip)),
    async seeds() {
      const { tokenizer_config } = JSON.parse(await readFile(`${nano}/config.json`, "utf8"));
      return [json({ __class__: "KeyeTokenizerConfig", ...tokenizer_config })];
    },
  },
  config("dit-config", [`${nano}/dit/config.json`], (value, file) => parseDitConfig(value, file, skip)),
  config("vae-config", [`${nano}/vae/config.json`], (value, file) => parseAutoencoderConfig(value, file, skip)),
  {
    ...config("preprocessor-config", [`${nano}/preprocessor_config.json`], skip),
    async run(bytes) {
      vision ??= parseKeyeArConfig(JSON.parse(await readFile(`${nano}/config.json`, "utf8"))).tokenizer_config;
      parsePreprocessorConfig(parseJson(bytes, "p.json"), vision.vision_config, "p.json", skip);
    },
  },
  config("generation-config", [`${nano}/generation_config.json`], (value, file) =>
    parseGenerationConfig(value, 1024, file, skip),
  ),
  config("run-config", ["configs/nano/tokenizer.json", "configs/nano/diffusion.json"], (value, file) =>
    parseSettings(runSchema, value, file),
  ),
  {
    ...config("files-json", [], parseListing),
    seeds: async () => [
      json({
        files: [
          { path: "config.json", bytes: 2, sha256: "0".repeat(64) },
          { path: "dit/model.safetensors", bytes: 9 },
        ],
      }),
    ],
  },
  {
    ...config("hub-answer", [], parseHubAnswer),
    seeds: async () => [
      json({ sha: "c0ffee", siblings: [{ rfilename: "a.json", size: 2, lfs: { sha256: "0".repeat(64), size: 2 } }] }),
      json({ sha: "c0ffee", siblings: [{ rfilename: "b.json", size: 2, lfs: null }] }),
    ],
  },
  {
    name: "adapter-config",
    kind: "memory",
    seeds: async () => [await readFile(`${adapter}/adapter_config.json`)],
    async run(bytes) {
      weights ??= new Blob([await readFile(`${adapter}/adapter_model.safetensors`)]);
      await readAdapter(folder("adapter_config.json", bytes, "adapter_model.safetensors", weights));
    },
  },
  {
    name: "adapter-weights",
    kind: "memory",
    seeds: async () => [await readFile(`${adapter}/adapter_model.safetensors`)],
    async run(bytes) {
      settings ??= new Blob([await readFile(`${adapter}/adapter_config.json`)]);
      await readAdapter(folder("adapter_model.safetensors", bytes, "adapter_config.json", settings));
    },
  },
  {
    // What a config's checks let through has to give a graph, and soon: sizes come from strangers too.
    name: "declared-model",
    kind: "open",
    async seeds() {
      const parts = await Promise.all(
        ["", "dit/", "vae/"].map((part) => readFile(`${nano}/${part}config.json`, "utf8")),
      );
      return [json(parts.map((part) => JSON.parse(part)))];
    },
    run(bytes) {
      const all = parseJson(bytes, "all.json");
      const [ar, dit, vae] = Array.isArray(all) ? all : [];
      declareAutoregressive(parseKeyeArConfig(ar, "config.json", skip));
      declareTransformer(parseDitConfig(dit, "dit/config.json", skip));
      declareAutoencoder({ config: parseAutoencoderConfig(vae, "vae/config.json", skip) });
    },
  },
];

let vision: ReturnType<typeof parseKeyeArConfig>["tokenizer_config"] | undefined;
let weights: Blob | undefined;
let settings: Blob | undefined;

function folder(name: string, bytes: Uint8Array, other: string, blob: Blob) {
  return memoryFiles(
    "adapter",
    new Map([
      [name, new Blob([Uint8Array.from(bytes)])],
      [other, blob],
    ]),
  );
}
