// Texts, answers and prompts beside Hugging Face's own libraries: test/text/make.py wrote what these make of them.

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { ChatTemplate, type Message } from "../src/text/chat-template.ts";
import { threadSandbox } from "../src/text/sandbox.node.ts";
import { TextTokenizer } from "../src/text/tokenizer.ts";

interface Expected {
  readonly encoded: readonly {
    readonly name: string;
    readonly fields: object;
    readonly texts: readonly string[];
    readonly ids: readonly (readonly number[])[];
    readonly decoded: readonly string[];
  }[];
  readonly prompts: readonly {
    readonly template: string;
    readonly messages: readonly Message[];
    readonly text: string;
    readonly ids: readonly number[];
  }[];
}

const { encoded, prompts }: Expected = JSON.parse(await readFile("test/text/expected.json", "utf8"));
const released = JSON.parse(await readFile("test/released/gqa8/model/tokenizer.json", "utf8")) as object;

describe.each(encoded)("a tokenizer $name", ({ fields, texts, ids, decoded }) => {
  const tokenizer = new TextTokenizer({ ...released, ...fields });

  test("gives the reference's ids", () => {
    expect(texts.map((text) => tokenizer.encodeTemplate(text))).toEqual(ids);
  });

  test("gives the reference's text, at once and piece by piece", () => {
    expect(ids.map((row) => tokenizer.decode(row))).toEqual(decoded);
    for (const [i, row] of ids.entries()) {
      const stream = tokenizer.stream();
      expect(row.map((id) => stream.push(id)).join("") + stream.end()).toBe(decoded[i]);
    }
  });
});

test.each(prompts)("a conversation becomes the reference's prompt: $text", ({ template, messages, text, ids }) => {
  const variables = { eos_token: "<|im_end|>" };
  const chat = new ChatTemplate(template, { file: "t", variables, sandbox: threadSandbox });
  expect(chat.render(messages)).toBe(text);
  expect(chat.encode(messages, new TextTokenizer(released))).toEqual(ids);
});
