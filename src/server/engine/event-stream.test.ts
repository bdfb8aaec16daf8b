import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import type { EngineEvent } from "../protocol.ts";
import { EventStream } from "./event-stream.ts";
import { type FromWorker, type RequestMessage, WINDOW } from "./messages.ts";
import { Channel, Outbox } from "./outbox.ts";

const text = (text: string): EngineEvent => ({ type: "text", text });
const vector: EngineEvent = { type: "vector", vector: Float32Array.of(1) };

function open(stalledMs = 1000) {
  const options = { onTaken: vi.fn(), stalledMs, onStalled: vi.fn() };
  return { ...options, stream: new EventStream(options) };
}

test("gives events in order, joins texts that wait, and tells what was taken", async () => {
  const { stream, onTaken } = open();
  const first = stream.next();
  stream.push(text("a"));
  expect(await first).toEqual(text("a"));
  for (const event of [text("b"), { ...text("c"), logprobs: [] }, vector, text("d")] as EngineEvent[])
    stream.push(event);
  expect(await stream.next()).toEqual({ type: "text", text: "bc", logprobs: [] });
  expect(await stream.next()).toBe(vector);
  expect(await stream.next()).toEqual(text("d"));
  expect(onTaken).not.toHaveBeenCalled();
  for (let i = 0; i < WINDOW / 2; i++) stream.push(text("e"));
  await stream.next();
  expect(onTaken.mock.calls).toEqual([[WINDOW / 2 + 5]]);
});

test("an error comes after what has come, or at once, and stays", async () => {
  const { stream } = open();
  stream.push(text("a"));
  stream.fail(new Error("late"), "after");
  stream.fail(new Error("later"), "at once");
  expect(await stream.next()).toEqual(text("a"));
  await expect(stream.next()).rejects.toThrow("late");
  await expect(stream.next()).rejects.toThrow("late");
  const { stream: other } = open();
  const waiting = other.next();
  other.push(text("a"));
  await waiting;
  other.push(text("b"));
  other.fail(new Error("gone"), "at once");
  other.push(text("c"));
  await expect(other.next()).rejects.toThrow("gone");
});

test("tells when events wait too long, and only then", async () => {
  const { stream, onStalled } = open(20);
  const waiting = stream.next();
  await sleep(40); // nothing to read
  stream.push(text("a"));
  await waiting;
  stream.push(text("b"));
  await stream.next();
  await sleep(40);
  expect(onStalled).not.toHaveBeenCalled();
  const last = stream.next();
  stream.push(vector);
  stream.push(text("c"));
  await last;
  await sleep(40);
  expect(onStalled).toHaveBeenCalledOnce();
});

test("a worker sends a window of events, then waits for the reader or the end", async () => {
  const sent: RequestMessage[] = [];
  const postMessage = vi.fn((message: FromWorker) => {
    if (message.type === "messages") sent.push(...message.messages);
  });
  const controller = new AbortController();
  const outbox = new Outbox({ postMessage });
  const channel = new Channel(7, outbox, controller.signal);
  let count = 0;
  const writing = (async () => {
    for (; ; count++) await channel.send(text(`${count}`));
  })();
  await sleep(5);
  expect(count).toBe(WINDOW);
  channel.offer(vector); // there is no room
  expect(sent).toHaveLength(WINDOW);
  expect(postMessage).toHaveBeenCalledOnce(); // together
  channel.grant(3);
  await expect.poll(() => sent.at(-1)).toMatchObject({ id: 7, event: text(`${WINDOW + 2}`) });
  expect(count).toBe(WINDOW + 3);
  controller.abort(new Error("left"));
  await expect(writing).rejects.toThrow("left");
});

test("texts of several steps leave together, the first of an answer and its end at once", async () => {
  const sent: RequestMessage[][] = [];
  const outbox = new Outbox({
    postMessage: (message: FromWorker) => void (message.type === "messages" && sent.push([...message.messages])),
  });
  const { signal } = new AbortController();
  const [a, b] = [new Channel(1, outbox, signal), new Channel(2, outbox, signal)];
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await a.send(text("a"));
  await turn();
  expect(sent).toHaveLength(1);
  for (const step of ["b", "c"]) {
    await a.send(text(step));
    await turn();
  }
  expect(sent).toHaveLength(1);
  await sleep(15);
  expect(sent[1]!.map((message) => "event" in message && message.event)).toEqual([text("b"), text("c")]);
  await a.send(text("d"));
  await b.send(text("first"));
  await turn();
  expect(sent[2]).toHaveLength(2);
  await a.send(text("e"));
  outbox.post({ id: 1, done: true });
  await turn();
  expect(sent[3]!.map((message) => "done" in message)).toEqual([false, true]);
  const [first, second] = sent[1]!.map((message) => ("event" in message ? message.atMs : 0));
  expect(second).toBeGreaterThan(first!);
  expect(Math.abs(first! - Date.now())).toBeLessThan(5000);
});

test("an image moves only where its buffer is its own", () => {
  const postMessage = vi.fn();
  const outbox = new Outbox({ postMessage });
  const channel = new Channel(1, outbox, new AbortController().signal);
  const own = new Uint8Array(8);
  channel.offer({ type: "preview", index: 0, png: own });
  outbox.flush();
  expect(postMessage.mock.calls[0]![1]).toEqual([own.buffer]);
  const shared = new Channel(2, outbox, new AbortController().signal);
  shared.offer({ type: "preview", index: 0, png: new Uint8Array(16).subarray(4) });
  outbox.flush();
  expect(postMessage.mock.calls[1]![1]).toEqual([]);
});
