import { expect, test } from "vitest";
import { FairQueue } from "./fair-queue.ts";

function filled(limit: number, items: string): FairQueue<string> {
  const queue = new FairQueue<string>(limit);
  for (const item of items.split(" ")) queue.add(item[0]!, item);
  return queue;
}

const takeAll = (queue: FairQueue<string>, accepts = (_: string) => true) => {
  const taken: string[] = [];
  for (let item = queue.take(accepts); item !== undefined; item = queue.take(accepts)) taken.push(item);
  return taken.join(" ");
};

test("keys take turns, and each key's items come in order", () => {
  const queue = filled(9, "a1 a2 a3 b1 c1 b2");
  expect(takeAll(queue)).toBe("a1 b1 c1 a2 b2 a3");
  expect(queue.size).toBe(0);
});

test("a key that joins late waits for one turn, not for all that came before", () => {
  const queue = filled(9, "a1 a2 a3 a4");
  expect(queue.take(() => true)).toBe("a1");
  queue.add("b", "b1");
  expect(takeAll(queue)).toBe("a2 b1 a3 a4");
});

test("passes over what is not accepted and keeps its place", () => {
  const queue = filled(9, "a1 b1 a2 b2");
  expect(takeAll(queue, (item) => item.startsWith("b"))).toBe("b1 b2");
  expect(takeAll(queue)).toBe("a1 a2");
});

test("beyond the limit the newest item of the key with most gives way", () => {
  const queue = filled(4, "a1 a2 a3 b1");
  expect(queue.takeExcess()).toBeUndefined();
  queue.add("b", "b2");
  expect(queue.takeExcess()).toBe("a3");
  queue.add("c", "c1");
  expect(queue.takeExcess()).toBe("b2"); // a and b have two each; b's turn is later
  expect(takeAll(queue)).toBe("a1 b1 c1 a2");
});

test("one key alone loses what it adds last", () => {
  const queue = filled(2, "a1 a2 a3");
  expect(queue.takeExcess()).toBe("a3");
  expect(queue.takeExcess()).toBeUndefined();
});

test("removes what has left, and all", () => {
  const queue = filled(9, "a1 a2 b1");
  expect(queue.remove("a", "a1")).toBe(true);
  expect(queue.remove("a", "a1")).toBe(false);
  expect(queue.remove("c", "a1")).toBe(false);
  expect(queue.size).toBe(2);
  expect(queue.drain()).toEqual(["a2", "b1"]);
  expect(queue.size).toBe(0);
});
