import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Kelix } from "../src/index.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test("a realm of its own, as in Jest, gets the same codes, text and pixels from the native library", async () => {
  const image = at("../data/heldout/demo/rocket.png");
  const kelix = await Kelix.load("kelix-nano", { threads: 1 });
  const codes = await kelix.tokenize(image);
  let answer = "";
  const messages = [{ role: "user", content: [{ type: "image", image: codes }] }];
  answer += (await kelix.chat(messages, { maxNewTokens: 4 }).result()).text;
  const drawn = await kelix.reconstruct(codes, { steps: 1 });
  await kelix.dispose();

  const { ORT_DISABLE_TELEMETRY: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--experimental-vm-modules", "--no-warnings", at("other-realm.mjs"), at("../dist/index.js"), "kelix-nano", image],
    { env },
  );
  expect(JSON.parse(stdout)).toEqual({
    isOtherRealm: true,
    codes: [...codes.codes],
    answer,
    pixels: [...drawn.data.subarray(0, 300)],
    telemetry: "1",
  });
});
