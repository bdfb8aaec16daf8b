// What the log has of a request: never what was asked, unless the operator wants it; and what a client must not see.

import { pino } from "pino";
import { expect, test } from "vitest";
import { httpApp } from "../../../test/http-app.ts";

const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]).toString("base64");
const image = { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } };
const asked = { messages: [{ role: "user", content: [{ type: "text", text: "purple whales" }, image] }] };

function logged(logPrompts: boolean, script?: Parameters<typeof httpApp>[1]) {
  let lines = "";
  const write = (line: string) => {
    lines += line;
  };
  const log = pino({ level: "info" }, { write });
  return { ...httpApp({ log, logPrompts }, script), lines: () => lines };
}

test("prompts are in it only where they are asked for, images never", async () => {
  for (const wanted of [false, true]) {
    const { post, lines } = logged(wanted);
    await post("/v1/chat/completions", asked, { authorization: "Bearer a-secret-token" });
    await post("/v1/images/generations", { prompt: "green whales" });
    expect(/purple whales/.test(lines())).toBe(wanted);
    expect(/green whales/.test(lines())).toBe(wanted);
    expect(lines()).not.toMatch(new RegExp(`${png}|a-secret-token`));
  }
});

test("a failure that nobody foresaw is told to the log, under the id that the client has", async () => {
  // biome-ignore lint/correctness/useYield: it fails before it has anything to give
  const { post, lines } = logged(false, async function* () {
    throw new TypeError("the inner reason");
  });
  const { text, headers } = await post("/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }] });
  expect(text).not.toContain("inner reason");
  const entry = lines()
    .split("\n")
    .find((line) => line.includes("inner reason"));
  expect(JSON.parse(entry!).requestId).toBe(headers.get("x-request-id"));
});
