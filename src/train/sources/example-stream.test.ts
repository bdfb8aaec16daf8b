import { expect, test } from "vitest";
import type { DataSource, Example } from "../../corpus/example.ts";
import { InputError } from "../../errors.ts";
import { ExampleStream } from "./example-stream.ts";

/** Texts "0", "1", ..; those in `bad` cannot be read. */
function texts(count: number, bad: readonly number[] = []): DataSource {
  return {
    format: "texts",
    count,
    fingerprint: "",
    async read(index): Promise<Example> {
      if (bad.includes(index)) throw new InputError(`rows.jsonl, line ${index + 1}: is not JSON`);
      return { where: `line ${index + 1}`, kind: "document", parts: [{ type: "text", text: String(index) }] };
    },
    key: async (index) => `${index}`,
    close: async () => {},
  };
}

const numberOf = (example: Example) =>
  example.kind === "document" && example.parts[0]?.type === "text" ? Number(example.parts[0].text) : -1;
const draw = (
  stream: ExampleStream,
  positions: readonly number[],
  use = numberOf as (example: Example) => number | undefined,
) =>
  positions.reduce(
    async (found: Promise<number[]>, position) => [...(await found), await stream.draw(position, use)],
    Promise.resolve([]),
  );
const numbers = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);

test("finds the same examples when it starts in the middle, also past bad and unused ones", async () => {
  const source = texts(100, [3, 30, 77]);
  const use = (example: Example) => (numberOf(example) % 2 === 0 ? numberOf(example) : undefined);
  const whole = await draw(new ExampleStream(source, { seed: 1 }), numbers(250), use);
  expect(whole.every((n) => n % 2 === 0 && n !== 30)).toBe(true);
  const rest = await draw(new ExampleStream(source, { seed: 1 }), numbers(50, 200), use);
  expect(rest).toEqual(whole.slice(200));
});

test("counts and tells of bad examples, and ends when there are many", async () => {
  const lines: string[] = [];
  const few = new ExampleStream(texts(1000, numbers(10)), { seed: 1, log: (line) => lines.push(line) });
  await draw(few, numbers(1000));
  expect(few.bad).toBe(10);
  expect(lines[0]).toMatch(/skipped a bad example: rows\.jsonl, line \d+: is not JSON/);
  expect(lines).toHaveLength(4); // at 1, 2, 4 and 8
  const many = new ExampleStream(texts(1000, numbers(400)), { seed: 1 });
  await expect(draw(many, numbers(1000))).rejects.toThrow(/17 bad examples in \d+ draws; the last: rows\.jsonl/);
});

test("says when a stage can use none", async () => {
  await expect(new ExampleStream(texts(50), { seed: 1 }).draw(0, () => undefined)).rejects.toThrow(
    /none of 500 examples/,
  );
});

test("ends the check before the work at the first bad example, unless they are to be skipped", async () => {
  await expect(new ExampleStream(texts(1000, [5]), { seed: 1 }).check()).rejects.toThrow(
    /line 6: is not JSON\. --skip-bad skips/,
  );
  const lines: string[] = [];
  await new ExampleStream(texts(1000, [5]), { seed: 1, skipBad: true, log: (line) => lines.push(line) }).check();
  expect(lines).toEqual([
    expect.stringMatching(/^data: texts, 1,000 examples; checked 12\d \(12\d document; 0 images; 1 bad\)$/),
  ]);
  await expect(new ExampleStream(texts(10, numbers(9)), { seed: 1, skipBad: true }).check()).rejects.toThrow(
    /9 of 10 examples/,
  );
});
