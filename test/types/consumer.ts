// What a user of the package writes, compiled by test/types.test.ts under the strictest settings; nothing of it is run.

import { type ChatMessage, type ChatOptions, type CodesInput, ImageCodes, Kelix, pullModel, writePng } from "kelix";

export async function run(signal: AbortSignal | undefined, steps: number | undefined, options: ChatOptions) {
  const kelix = await Kelix.load("kelix-nano", { device: "cpu", signal, threads: undefined });

  // Options that may be undefined, and options on top of others.
  const image = await kelix.imagine("two red circles", { signal, steps, onPreview: undefined });
  const images = await kelix.imagine("two red circles", { signal, n: 2 });
  kelix.chat([{ role: "user", content: "Hello" }], { ...options, signal, maxNewTokens: steps });

  // Messages that were put into a variable first, without `as const`.
  const content = [
    { type: "image", image: "cat.png" },
    { type: "text", text: "What is this?" },
  ];
  const messages = [{ role: "user", content }];
  for await (const piece of kelix.chat(messages)) {
    const text: string = typeof piece === "string" ? piece : `${piece.image.seed}`;
    messages.push({ role: "assistant", content: [{ type: "text", text }] });
  }
  kelix.chat([{ role: "user", content: [{ type: "image", image: image.codes }] }]);
  const typed: ChatMessage[] = [{ role: "system", content: "Be brief." }];
  kelix.chat(typed);

  // Codes as they are, as they come out of JSON, and as a list.
  const codes: ImageCodes = await kelix.tokenize(new URL("file:///cat.png"), { signal });
  const list = { grid: [1, 1], codes: [1, 2, 3, 4, 5, 6, 7, 8] };
  const stored: CodesInput = JSON.parse(JSON.stringify(codes));
  for (const input of [codes, list, stored, { ...codes }, new ImageCodes(codes)]) await kelix.reconstruct(input);
  await kelix.reconstruct({ width: 1, height: 1, data: new Uint8ClampedArray(4) }, { guidance: 2, signal });
  await kelix.tokenize({ width: 1, height: 1, data: [1, 2, 3] });

  await writePng("circles.png", images[0] ?? image);
  await pullModel("owner/name", { revision: undefined, signal });

  // @ts-expect-error an option of another library
  kelix.chat(messages, { max_tokens: 3 });
  // @ts-expect-error an option of another call
  kelix.tokenize("cat.png", { steps: 3 });
  // @ts-expect-error a text is no list of messages
  kelix.chat("Hello");
  // @ts-expect-error a device that there is not
  Kelix.load("kelix-nano", { device: "gpu" });
  // @ts-expect-error one image is no array
  image.length;
  await kelix.dispose();
}
