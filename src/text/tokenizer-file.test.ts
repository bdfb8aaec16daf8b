import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { checkTextIds } from "./check-text.ts";
import { TextTokenizer } from "./tokenizer.ts";

interface Json {
  added_tokens: Record<string, unknown>[];
  pre_tokenizer: { pretokenizers: unknown[] };
  post_processor: unknown;
  normalizer: unknown;
  decoder: unknown;
  model: { vocab: Record<string, number>; merges: unknown[]; unk_token: string | null; type: string };
}
const text = await readFile("models/kelix-nano/tokenizer.json", "utf8");
const nano = (edit: (json: Json) => void): (() => TextTokenizer) => {
  const json = JSON.parse(text) as Json;
  edit(json);
  return () => new TextTokenizer(json, "m/tokenizer.json");
};
const think = { id: 1528, content: "<think>", special: false };

describe("added tokens that are not special", () => {
  const tokenizer = nano((json) => {
    // The last merged token gives its id away.
    const last = Object.entries(json.model.vocab).find(([, id]) => id === think.id)![0];
    delete json.model.vocab[last];
    json.model.merges.pop();
    json.added_tokens.push(think);
  })();

  test("are one id in texts and templates, and stay in answers", () => {
    expect(tokenizer.encode("a<think>b")).toContain(think.id);
    expect(tokenizer.encodeTemplate("<|im_start|><think>")).toEqual([tokenizer.special("<|im_start|>"), think.id]);
    const ids = tokenizer.encode("<think>two red circles");
    expect(tokenizer.decode(ids)).toBe("<think>two red circles");
    const stream = tokenizer.stream();
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe("<think>two red circles");
  });

  test("steering tokens are special even where the file does not say so", () => {
    const lax = nano((json) => {
      for (const token of json.added_tokens) token.special = false;
    })();
    expect(lax.encode("<|im_end|>").length).toBeGreaterThan(1);
  });
});

test("tokens of tokenizer_config.json are added where tokenizer.json lacks them", () => {
  const json = JSON.parse(text) as Json;
  const pad = json.added_tokens.find(({ content }) => content === "<|image_pad|>")!;
  json.added_tokens = json.added_tokens.filter((token) => token !== pad);
  const { id, ...token } = pad;
  const tokenizer = new TextTokenizer(json, "t", { [String(id)]: token });
  expect(tokenizer.encodeTemplate("<|image_pad|>")).toEqual([id]);
  expect(() => new TextTokenizer(JSON.parse(text), "t", { 5: token })).toThrow(
    'the added token "<|image_pad|>" has the id 1534, but 5',
  );
});

test("tokenizer_config.json can make an added token special, and not the other way round", () => {
  const json = JSON.parse(text) as Json;
  json.added_tokens.find(({ content }) => content === "<|q_eos|>")!.content = "<x>";
  Object.assign(json.added_tokens.find(({ content }) => content === "<|endoftext|>")!, {
    content: "<y>",
    special: false,
  });
  const named = (content: string, special: boolean) => ({ content, special });
  const tokenizer = new TextTokenizer(json, "t", { 1529: named("<y>", true), 1535: named("<x>", false) });
  expect([1529, 1535].map((id) => tokenizer.isSpecial(id))).toEqual([true, true]);
  expect(tokenizer.decode([1529, 1535])).toBe("");
});

test.each<[string, (json: Json) => void, string]>([
  [
    "a pattern that nobody knows",
    (json) => {
      json.pre_tokenizer.pretokenizers[0] = { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated" };
    },
    'pre_tokenizer.pretokenizers[0]: the pattern "(a+)+$" is not supported: only those of Qwen2',
  ],
  ...["Digits", "Metaspace", "Punctuation", "Whitespace", "Nonsense"].map(
    (type): [string, (json: Json) => void, string] => [
      `a split of type ${type}`,
      (json) => {
        json.pre_tokenizer.pretokenizers.unshift({ type });
      },
      `pretokenizers[0]: type is "${type}", which is not supported`,
    ],
  ),
  [
    "a split that drops text",
    (json) => {
      json.pre_tokenizer.pretokenizers.unshift({ type: "Split", pattern: { String: " " }, behavior: "Removed" });
    },
    'a Split that removes " " is not supported',
  ],
  [
    "a vocabulary that is not of bytes",
    (json) => {
      json.pre_tokenizer.pretokenizers.pop();
    },
    "must have ByteLevel exactly once, at the end",
  ],
  [
    "tokens that a post-processor would add",
    (json) => {
      json.post_processor = { type: "TemplateProcessing", single: [] };
    },
    'post_processor: type is "TemplateProcessing"',
  ],
  [
    "half of a character as a token",
    (json) => {
      json.added_tokens.push({ ...think, content: "\ud83c" });
    },
    "half of a character",
  ],
  [
    "a replacement by a pattern",
    (json) => {
      json.normalizer = { type: "Replace", pattern: { Regex: "(a|a)*b" }, content: "" };
    },
    "normalizer",
  ],
  [
    "a token of no letters",
    (json) => {
      json.added_tokens.push({ ...think, content: "" });
    },
    "added_tokens",
  ],
  [
    "a token with a fractional id",
    (json) => {
      json.added_tokens.push({ ...think, id: 1.5 });
    },
    "added_tokens",
  ],
  [
    "single words, which the library cannot match",
    (json) => {
      json.added_tokens.push({ ...think, single_word: true });
    },
    "single_word",
  ],
  [
    "two tokens of one id",
    (json) => {
      json.model.vocab["!"] = 5;
    },
    "the id 5 of another token",
  ],
  [
    "negative ids",
    (json) => {
      json.model.vocab["!"] = -1;
    },
    "expected an integer",
  ],
  [
    "no vocabulary",
    (json) => {
      json.model.vocab = {};
      json.model.merges = [];
    },
    "the vocabulary lacks",
  ],
  [
    "a merge of strangers",
    (json) => {
      json.model.merges.push(["q", "zzz"]);
    },
    '"zzz" is not in the vocabulary',
  ],
  [
    "too many merges",
    (json) => {
      json.model.merges = new Array(1_000_001).fill(["a", "b"]);
    },
    "at most 1000000",
  ],
  [
    "another kind of model",
    (json) => {
      json.model.type = "Unigram";
    },
    "model.type",
  ],
  [
    "another decoder",
    (json) => {
      json.decoder = { type: "Metaspace" };
    },
    "decoder.type",
  ],
  [
    "an unknown token that is none",
    (json) => {
      json.model.unk_token = "<unk>";
    },
    '"<unk>" is not in its vocabulary',
  ],
])("rejects %s by name", (_, edit, message) => {
  expect(nano(edit)).toThrow(ModelError);
  expect(nano(edit)).toThrow("m/tokenizer.json");
  expect(nano(edit)).toThrow(message);
});

test("reads a vocabulary of the released model's size", () => {
  const large = nano((json) => {
    for (let id = 2000; id < 151_936; id++) json.model.vocab[`word ${id}`] = id;
  })();
  expect(large.maxId).toBe(151_935);
});

describe("beside a model's config", () => {
  const ids = { vocabSize: 1536, eos: 1531, visionStart: 1532, visionEnd: 1533, imagePad: 1534, qEos: 1535, pad: 1529 };
  const tokenizer = nano(() => undefined)();

  test("a tokenizer fits its own model", () => {
    expect(() => checkTextIds(tokenizer, ids)).not.toThrow();
    expect(() => checkTextIds(tokenizer, { ...ids, pad: null })).not.toThrow();
    expect(() => checkTextIds(tokenizer, { ...ids, pad: ids.eos })).not.toThrow();
  });

  test.each([
    [{ ...ids, vocabSize: 1535 }, "has the id 1535"],
    [{ ...ids, imagePad: 1531 }, "<|image_pad|> has the id 1534"],
    [{ ...ids, visionStart: 3 }, "<|vision_start|> has the id 1532"],
    [{ ...ids, eos: 7 }, "eos_token_id 7 is not an added token"],
    [{ ...ids, eos: 1532 }, "eos_token_id 1532 is <|vision_start|>"],
    [{ ...ids, eos: 1529, pad: 1531 }, 'pad_token_id 1531 is "<|im_end|>"'],
    [{ ...ids, qEos: 7 }, "q_eos_token 7 is"],
    [{ ...ids, qEos: 1530 }, 'q_eos_token 1530 is "<|im_start|>"'],
  ])("%j is rejected", (wrong, message) => {
    expect(() => checkTextIds(tokenizer, wrong)).toThrow(message);
  });
});
