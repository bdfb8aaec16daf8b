import { expect, test } from "vitest";
import { formatBytes, formatSeconds, Transfer } from "./transfer.ts";

test("tells how much is there, how fast the rest comes and how long it will take", () => {
  let ms = 0;
  const transfer = new Transfer(() => ms);
  const totalBytes = 24_600_000_000;
  expect(transfer.line({ doneBytes: 600_000_000, totalBytes })).toBe("600.0 MB of 24.6 GB, 2 %");
  ms = 4000;
  // 400 MB in 4 s; 23.6 GB are left.
  expect(transfer.line({ doneBytes: 1_000_000_000, totalBytes })).toBe(
    "1.0 GB of 24.6 GB, 4 %, 100.0 MB/s, 3 min 56 s left",
  );
});

test("forgets how fast it was long ago", () => {
  let ms = 0;
  const transfer = new Transfer(() => ms);
  transfer.line({ doneBytes: 0, totalBytes: 1e9 });
  for (ms = 1000; ms <= 60_000; ms += 1000) transfer.line({ doneBytes: 500e6 + ms * 10, totalBytes: 1e9 });
  expect(transfer.line({ doneBytes: 500e6 + ms * 10, totalBytes: 1e9 })).toContain("10.0 kB/s");
});

test("says nothing of the rate while a damaged part is thrown away", () => {
  let ms = 0;
  const transfer = new Transfer(() => ms);
  transfer.line({ doneBytes: 500, totalBytes: 1000 });
  ms = 1000;
  expect(transfer.line({ doneBytes: 0, totalBytes: 1000 })).toBe("0 B of 1.0 kB, 0 %");
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [999_949, "999.9 kB"],
  [999_950, "1.0 MB"],
  [24_600_000_000, "24.6 GB"],
])("writes %i bytes as %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0.2, "1 s"],
  [59.5, "1 min 0 s"],
  [275, "4 min 35 s"],
  [7500, "2 h 5 min"],
])("writes %d seconds as %s", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});
