// Texts of users, of models and of servers: names, addresses, patterns, questions, tokenizers, templates.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../../../src/checkpoint/strict-json.ts";
import { parsePrompts } from "../../../src/cli/prompt-folder.ts";
import { parseVqaRows } from "../../../src/eval/suites/vqa.ts";
import { formatHubName, isPlainPath, parseHubName } from "../../../src/files/hub-name.ts";
import { askedPauseMs } from "../../../src/files/rate-limit.ts";
import { publicUrl, splitCredentials, withoutSecrets } from "../../../src/files/safe-url.ts";
import { fileFilter } from "../../../src/files/wanted-files.ts";
import { byteCharacters } from "../../../src/text/byte-characters.ts";
import { ChatTemplate, type Message, type TemplateSandbox } from "../../../src/text/chat-template.ts";
import { releasedTemplate } from "../../../src/text/load-text.ts";
import { renderTemplate } from "../../../src/text/render-template.js";
import { threadSandbox } from "../../../src/text/sandbox.node.ts";
import { TextTokenizer } from "../../../src/text/tokenizer.ts";
import { json, same, type Target, utf8 } from "../target.ts";

function text(name: string, seeds: readonly string[], run: (text: string) => unknown): Target {
  return {
    name,
    kind: "memory",
    seeds: async () => seeds.map(utf8),
    run: (bytes) => run(new TextDecoder().decode(bytes)),
  };
}

const messages: readonly Message[] = [
  {
    role: "user",
    content: [
      { type: "image", image: 0 },
      { type: "text", text: "What is <|im_end|> this?" },
    ],
  },
  { role: "assistant", content: "A cat." },
];

/** As in a browser, with a shorter deadline. */
const stepped: TemplateSandbox = {
  warm: () => undefined,
  render: (job) => renderTemplate(job, 50),
  limits: "0.05 s",
};

function template(name: string, kind: Target["kind"], sandbox: TemplateSandbox): Target {
  return {
    name,
    kind,
    seeds: async () => [
      utf8(releasedTemplate),
      await readFile("models/kelix-nano/chat_template.jinja"),
      utf8(
        "{%- for m in messages %}{{ m['role'] | upper + ': ' + (m.content if m.content is string else '') }}{% endfor %}",
      ),
      utf8(
        "{% if messages|length > 9 %}{{ raise_exception('too many') }}{% endif %}{{ strftime_now('%d %b') }}{{ bos_token }}",
      ),
      utf8(
        "{% macro f(x) %}{{ x }}{% endmacro %}{% set ns = namespace(n=0) %}{% for i in range(3) %}{{ f(i) }}{% endfor %}",
      ),
    ],
    run(bytes) {
      const source = new TextDecoder().decode(bytes);
      new ChatTemplate(source, { file: "t.jinja", variables: { bos_token: "<s>" }, sandbox }).render(messages);
    },
  };
}

export const textTargets: readonly Target[] = [
  text("hub-name", ["owner/name", "owner/name@v1.0", "a/b@refs/pr/1", "dir/../x"], (name) => {
    const found = parseHubName(name);
    if (isPlainPath(name) && !join("/root", name).startsWith("/root/")) throw new Error("leads out of the folder");
    if (!found) return;
    for (const part of [found.repo, found.revision]) if (!isPlainPath(part)) throw new Error("a part is no plain path");
    same(parseHubName(formatHubName(found)), found, "the name written and read again");
  }),
  text(
    "address",
    ["https://user:secret@host.example/p?q=1#f", "data:image/png;base64,AAAA", "see http://a:b@c/d, or hf_abcdefghij"],
    (name) => {
      const shown = [publicUrl(name), withoutSecrets(name)];
      for (const one of shown) if (one.length > 2 * name.length + 10) throw new Error("became longer");
      if (!URL.canParse(name)) return;
      const { password } = new URL(name);
      splitCredentials(name);
      // Parsers drop these, so without them the password may stand in the path as well.
      const isPlanted = password.length > 8 && name.replace(/[\t\n\r]/g, "").split(password).length === 2;
      // In a text, white space ends an address, and what begins one has at most 31 letters.
      const secret = /\s/.test(name.trim()) || name.indexOf(":") > 31 ? shown.slice(0, 1) : shown;
      if (isPlanted && secret.some((one) => one.includes(password))) throw new Error("shows a password");
    },
  ),
  text("file-pattern", ["*.safetensors", "dit/*", "model-0000[1-3]?.json", "[!a]b/"], (pattern) =>
    fileFilter([pattern])("dit/model-00001-of-00002.safetensors"),
  ),
  text("retry-after", ["120", "Wed, 21 Oct 2026 07:28:00 GMT", '"resolvers";r=0;t=55, "api";r=12;t=10'], (value) => {
    const header = value.replace(/[^\t\x20-\x7e]/g, "");
    const pause = askedPauseMs(new Headers({ "Retry-After": header, RateLimit: header }), 0);
    if (!(pause >= 0)) throw new Error(`a pause of ${pause} ms`);
  }),
  text(
    "vqa-rows",
    [
      '{"image":"a.png","question":"What?","answer":"cat"}\n{"image":"b.png","question":"Which?","choices":["a","b"],"answer":1}\n',
    ],
    (rows) => parseVqaRows(rows, "q.jsonl"),
  ),
  text("prompts", ['a cat\n{"prompt":"a dog","tag":1}\n'], (rows) => parsePrompts(rows, "p.txt")),
  {
    name: "tokenizer",
    kind: "memory",
    seeds: async () => [json(tokenizer(false)), json(tokenizer(true)), json(small())],
    run(bytes) {
      const found = new TextTokenizer(parseJson(bytes, "tokenizer.json"), "tokenizer.json", { 9: { content: "<x>" } });
      const ids = found.encode("Hello <x> <|im_end|>  w\u00f6rld\u{1f642}\n");
      found.decode(ids);
    },
  },
  template("chat-template", "memory", stepped),
  template("chat-template-thread", "open", threadSandbox),
];

/** All bytes, two merges, a special token. */
function tokenizer(isWhole: boolean) {
  const tokens = [...byteCharacters, "He", "ll", ...(isWhole ? ["Hell"] : [])];
  return {
    added_tokens: [{ id: tokens.length, content: "<|im_end|>", special: true, normalized: false }],
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    decoder: { type: "ByteLevel" },
    post_processor: null,
    model: {
      type: "BPE",
      merges: isWhole
        ? [
            ["H", "e"],
            ["l", "l"],
            ["He", "ll"],
          ]
        : ["H e", "l l"],
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    },
  };
}

/** So few tokens that edits meet the settings. */
function small() {
  return {
    ...tokenizer(false),
    added_tokens: [{ id: 5, content: "<|im_end|>", lstrip: true, rstrip: true }],
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { String: " " }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: true, use_regex: false },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "u",
      fuse_unk: true,
      ignore_merges: true,
      merges: ["a b"],
      vocab: { u: 0, a: 1, b: 2, ab: 3 },
    },
  };
}
