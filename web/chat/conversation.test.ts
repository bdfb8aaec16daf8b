import { expect, test } from "vitest";
import {
  appended,
  type Conversation,
  type Node,
  newConversation,
  pathOf,
  showing,
  siblings,
  textOf,
  withNode,
} from "./conversation.ts";
import { exportFile, importFile, search } from "./history.ts";

function node(id: string, parent: string | undefined, text: string): Node {
  return { id, parent, role: id.startsWith("q") ? "user" : "assistant", content: [{ type: "text", text }] };
}

/** A question, its answer, and another version of each. */
function talk(): Conversation {
  const nodes = [
    node("q1", undefined, "What is this?"),
    node("a1", "q1", "a rocket"),
    node("q2", "a1", "And its colour?"),
    node("a2", "q2", "blue"),
    node("a1b", "q1", "a red rocket"),
  ];
  return nodes.reduce(withNode, newConversation());
}

const ids = (conversation: Conversation) => pathOf(conversation).map(({ id }) => id);

test("another answer is a branch beside the first, and both can be gone back to", () => {
  const own = talk();
  expect(ids(own)).toEqual(["q1", "a1b"]);
  expect(siblings(own, pathOf(own)[1]!).map(({ id }) => id)).toEqual(["a1", "a1b"]);
  expect(ids(showing(own, "a1"))).toEqual(["q1", "a1", "q2", "a2"]); // with what was said below it
});

test("an answer that grows keeps its place, and the title is the first question", () => {
  const own = withNode(talk(), node("a2", "q2", "blue and red"));
  expect(own.title).toBe("What is this?");
  expect(ids(own)).toEqual(["q1", "a1b"]);
  expect(textOf(pathOf(showing(own, "a2")).at(-1)!)).toBe("blue and red");
});

test("pieces of text are joined, images stand between them", () => {
  const image = { type: "image", image: { blob: new Blob() } } as const;
  const pieces = [
    { type: "text", text: "a " },
    { type: "text", text: "b" },
    image,
    { type: "text", text: "c" },
  ] as const;
  expect(pieces.reduce<ReturnType<typeof appended>>(appended, [])).toEqual([
    { type: "text", text: "a b" },
    image,
    { type: "text", text: "c" },
  ]);
});

test("search looks into titles and messages of all branches", () => {
  expect(search([talk()], "RED ROCKET")).toHaveLength(1);
  expect(search([talk()], "octopus")).toHaveLength(0);
});

test("what is imported is what was exported, under a new id", async () => {
  const own = showing(talk(), "a1");
  const [read] = await importFile(await exportFile([own]));
  expect(read!.id).not.toBe(own.id);
  expect(pathOf(read!).map(textOf)).toEqual(pathOf(own).map(textOf));
});

test("files of strangers: another file and an image by address are refused in a sentence", async () => {
  await expect(importFile(new Blob(["{}"]))).rejects.toThrow(/holds no conversations/);
  const image = { type: "image", image: { blob: "https://example.org/a.png" } };
  const nodes = [{ id: "q", role: "user", content: [image] }];
  const file = JSON.stringify({ format: "kelix-conversations", conversations: [{ title: "", nodes }] });
  await expect(importFile(new Blob([file]))).rejects.toThrow(/damaged/);
});
