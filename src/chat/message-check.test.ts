import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { checkMessages } from "./message-check.ts";

function refusal(messages: unknown): string {
  try {
    checkMessages(messages);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }
  throw new Error("was accepted");
}
const part = (part: unknown) => [{ role: "user", content: [part] }];
const list = 'Expected a list of messages, such as [{ role: "user", content: "Hello" }], got ';
const parts = 'messages[0].content[0]: expected { type: "text", text } or { type: "image", image }, got ';

test("messages with fields of their owner's are taken", () => {
  checkMessages([
    { role: "system", content: "Be brief.", id: "1", name: "me", images: [], tool_calls: undefined },
    { role: "user", content: [{ type: "image", image: "a.png", mediaType: "image/png" }] },
    { role: "assistant", content: [] },
  ]);
});

describe("what is no conversation", () => {
  test.each([
    ["a text", "hello", `${list}the text "hello"`],
    ["one message", { role: "user", content: "hello" }, `${list}one message; put it into a list`],
    ["nothing", undefined, `${list}undefined`],
    ["an empty list", [], "Expected at least one message, got an empty list"],
    ["a list of texts", ["hello"], 'messages[0]: expected { role, content }, got "hello"'],
    ["a hole", [undefined], "messages[0]: expected { role, content }, got undefined"],
    [
      "another role",
      [
        { role: "user", content: "a" },
        { role: "tool", content: "b" },
      ],
      'messages[1]: expected the role system, user or assistant, got "tool"',
    ],
    ["no role", [{ content: "a" }], "messages[0]: expected the role system, user or assistant, got undefined"],
    ["no content", [{ role: "user" }], "messages[0].content: expected a text or a list of parts, got undefined"],
    [
      "null",
      [{ role: "assistant", content: null }],
      "messages[0].content: expected a text or a list of parts, got null",
    ],
    [
      "one part",
      [{ role: "user", content: { type: "text", text: "a" } }],
      'messages[0].content: expected a text or a list of parts, got {"type":"text","text":"a"}',
    ],
    [
      "images beside the text",
      [{ role: "user", content: "a", images: ["x.png"] }],
      'messages[0]: images is not supported; an image is a part of the content: { type: "image", image }',
    ],
    [
      "calls of tools",
      [{ role: "assistant", content: "", tool_calls: [{}] }],
      "messages[0]: tool_calls is not supported; the model calls no tools",
    ],
  ])("is rejected: %s", (_, messages, message) => {
    expect(refusal(messages)).toBe(message);
  });

  test.each([
    ["a text alone", "hello", `${parts}"hello"; write { type: "text", text } around it`],
    [
      "OpenAI's image",
      { type: "image_url", image_url: { url: "https://example.org/a.png" } },
      `${parts}{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}; write { type: "image", image: url }`,
    ],
    [
      "OpenAI's text",
      { type: "input_text", text: "a" },
      `${parts}{"type":"input_text","text":"a"}; write { type: "text", text }`,
    ],
    [
      "a file",
      { type: "file", data: new Uint8Array(9) },
      `${parts}{"type":"file","data":a Uint8Array of 9 bytes}; an image is { type: "image", image }, and no other file is read`,
    ],
    ["a video", { type: "video" }, `${parts}{"type":"video"}; video is not supported`],
    [
      "another library's image",
      { type: "image", source: { data: "" } },
      `${parts}{"type":"image","source":{"data":""}}; the image itself (a path, a URL, bytes or pixels) stands in \`image\``,
    ],
    ["no text", { type: "text" }, `${parts}{"type":"text"}; its \`text\` must be a text`],
    ["no type", { text: "a" }, `${parts}{"text":"a"}; its \`type\` is missing`],
    ["null", null, `${parts}null`],
    ["a size of its own", { type: "image", image: "a.png", max_pixels: 9 }, "max_pixels is not supported; an image is"],
    ["an image that is none", { type: "image", image: 5 }, "messages[0].content[0].image: Expected an image as a path"],
    ["an image to come", { type: "image", image: Promise.resolve() }, "got a Promise; await it first"],
  ])("is rejected as a part: %s", (_, given, message) => {
    expect(refusal(part(given))).toContain(message);
  });

  test("is rejected before the first of 257 images is opened", () => {
    const images = Array.from({ length: 257 }, () => ({ type: "image", image: "a.png" }));
    expect(refusal([{ role: "user", content: images }])).toBe("Expected at most 256 images in a conversation, got 257");
  });

  test("is not repeated at length", () => {
    expect(refusal("x".repeat(1e5)).length).toBeLessThan(400);
    expect(refusal([{ role: "x".repeat(1e5) }]).length).toBeLessThan(400);
    expect(refusal(part({ type: "image_url", image_url: "x".repeat(1e5) })).length).toBeLessThan(500);
    expect(refusal(part({ type: `video${"x".repeat(1e5)}` })).length).toBeLessThan(500);
  });
});
