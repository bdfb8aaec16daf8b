// The README's three ways to ask a server, run as they stand against `kelix serve`; and our provider for the AI SDK against the same one.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { APICallError, embed, generateImage, generateText, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKelix, type KelixProvider } from "../src/ai-sdk/index.ts";
import { Kelix, readReceipt, replay } from "../src/index.ts";
import { program } from "./run-cli.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** As the README has it. */
const PLACE = "http://127.0.0.1:8080";
let folder: string;
let server: ChildProcess;
let url: string;
let provider: KelixProvider;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-readme-server-"));
  await mkdir(join(folder, "node_modules"));
  await symlink(root, join(folder, "node_modules/kelix"));
  for (const name of ["openai", "ai"])
    await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
  await copyFile(join(root, "data/heldout/demo/rocket.png"), join(folder, "rocket.png"));
  const env = { ...process.env, KELIX_MODEL: "kelix-nano", KELIX_API_KEYS: "" };
  server = spawn(process.execPath, [program, "serve", "--port", "0", "--threads", "1", "--log-level", "error"], {
    env,
  });
  const [line] = (await once(server.stdout!, "data")) as [Buffer];
  [url] = /http:\/\/[\w.:]+/.exec(line.toString()) as unknown as [string];
  provider = createKelix({ baseURL: `${url}/v1` });
  while ((await fetch(`${url}/readyz`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
});
afterAll(async () => {
  const ended = server && once(server, "exit");
  server?.kill("SIGTERM");
  await ended;
  await rm(folder, { recursive: true, force: true });
});

/** The blocks of the README that name the server, by their language. */
async function snippets(language: string): Promise<string[]> {
  const readme = await readFile(join(root, "README.md"), "utf8");
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))]
    .map(([, block]) => block!)
    .filter((block) => block.includes(PLACE))
    .map((block) => block.replaceAll(PLACE, url));
}

async function run(code: string): Promise<string> {
  const file = join(folder, "snippet.mjs");
  await writeFile(file, code);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { cwd: folder });
  expect(stderr).toBe("");
  return stdout;
}

describe("the README's snippet", () => {
  test("for curl", async () => {
    const [code, ...more] = (await snippets("sh")).flatMap((block) => /^curl .*/ms.exec(block)?.[0] ?? []);
    expect(more).toEqual([]);
    const { stdout } = await promisify(execFile)("bash", ["-c", code!.replace("curl ", "curl -s ")], { cwd: folder });
    const { message, finish_reason } = JSON.parse(stdout).choices[0];
    expect(finish_reason).toBe("stop");
    expect(message.images[0].image_url.url).toMatch(/^data:image\/png;base64,iVBOR/);
  });

  test("for openai", async () => {
    const [code] = (await snippets("js")).filter((block) => block.includes('from "openai"'));
    expect(await run(code!)).toBe("a rocket\n");
    const file = await readFile(join(folder, "circles.png"));
    expect((await readReceipt(file))?.request).toMatchObject({ call: "imagine", prompt: "two red circles" });
  });

  test("for the AI SDK", async () => {
    const [code] = (await snippets("js")).filter((block) => block.includes('from "ai"'));
    await run(code!);
    expect((await readReceipt(await readFile(join(folder, "circle.png"))))?.request?.call).toBe("chat");
  });
});

describe("the provider", () => {
  test("answers whole and streamed alike, with images and usage", async () => {
    const asked = {
      model: provider(),
      prompt: "Draw a red circle.",
      seed: 1,
      providerOptions: { kelix: { steps: 2 } },
    };
    const whole = await generateText(asked);
    const stream = streamText(asked);
    let [text, files] = ["", 0];
    for await (const part of stream.fullStream) {
      if (part.type === "text-delta") text += part.text;
      if (part.type === "file") files++;
    }
    expect([text, files]).toEqual([whole.text, whole.files.length]);
    expect(files).toBe(1);
    const { inputTokens, inputTokenDetails } = await stream.usage;
    expect(inputTokens).toBe(whole.usage.inputTokens);
    expect(inputTokenDetails.cacheReadTokens).toBeGreaterThan(0);
  });

  test("draws with a seed, edits and embeds; what it drew is drawn again here, byte for byte", async () => {
    const rocket = await readFile(join(folder, "rocket.png"));
    const options = { model: provider.image(), seed: 5, providerOptions: { kelix: { steps: 2 } } };
    const { image, providerMetadata } = await generateImage({ ...options, prompt: "a star" });
    expect(providerMetadata.kelix?.images).toMatchObject([{ seed: 5, receipt: { request: { steps: 2 } } }]);
    await using kelix = await Kelix.load("kelix-nano", { threads: 1 });
    expect(await replay(kelix, image.uint8Array)).toMatchObject({ verdict: "identical", expected: "identical" });
    const edited = await generateImage({ ...options, prompt: { text: "make it blue", images: [image.uint8Array] } });
    expect((await readReceipt(edited.image.uint8Array))?.request?.call).toBe("edit");
    const { embedding } = await embed({
      model: provider.embedding(),
      value: `data:image/png;base64,${rocket.toString("base64")}`,
    });
    expect(embedding.length).toBe(256);
  });

  test("refusals are the server's: another model, another size; and an abort ends the work", async () => {
    const error = await generateText({ model: provider("other"), prompt: "Hi" }).catch((error) => error);
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ statusCode: 404, isRetryable: false });
    const large = generateImage({ model: provider.image(), prompt: "a star", size: "1024x1024" });
    await expect(large).rejects.toMatchObject({ statusCode: 400 });
    const abort = new AbortController();
    const prompt = "Draw a red circle.";
    const { fullStream } = streamText({ model: provider(), prompt, abortSignal: abort.signal });
    const types: string[] = [];
    for await (const { type } of fullStream) {
      types.push(type);
      abort.abort();
    }
    expect(types).toContain("abort");
  });
});
