import { expect, test } from "vitest";
import { Pieces } from "./pieces.ts";
import { serverEvents } from "./server-events.ts";

async function read(events: AsyncIterable<unknown>): Promise<unknown[]> {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}

/** A body in pieces of so many bytes: characters and events are cut anywhere. */
function body(text: string, size: number): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

test.each([1, 7, 1000])("reads events that come in pieces of %i bytes, up to [DONE]", async (size) => {
  const text =
    ': a comment\n\nevent: one\ndata: {"a":"é"}\n\ndata: {"b":\ndata: 2}\r\n\r\ndata: [DONE]\n\ndata: {"c":3}\n\n';
  expect(await read(serverEvents(body(text, size)))).toEqual([{ a: "é" }, { b: 2 }]);
});

test("an event that the end cuts short is read if it is whole", async () => {
  expect(await read(serverEvents(body('data: {"a":1}', 5)))).toEqual([{ a: 1 }]);
});

test("pieces come in order, and an error after those before it", async () => {
  const pieces = new Pieces<number>();
  pieces.add(1);
  const came: unknown[] = [];
  const reading = (async () => {
    for await (const piece of pieces) came.push(piece);
  })().catch((error) => came.push(error.message));
  await Promise.resolve();
  pieces.add(2);
  pieces.fail(new Error("cut"));
  await reading;
  expect(came).toEqual([1, 2, "cut"]);
});
