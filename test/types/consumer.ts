// What a user of the package writes, compiled by test/types.test.ts under the strictest settings; nothing of it is run.

import {
  type ChatMessage,
  type ChatOptions,
  type CodesInput,
  type DrawnImage,
  ImageCodes,
  Kelix,
  pullModel,
  writePng,
} from "kelix";
import sharp from "sharp";

export async function run(signal: AbortSignal | undefined, steps: number | undefined, options: ChatOptions) {
  const kelix = await Kelix.load("kelix-nano", { device: "cpu", signal, threads: undefined });

  // Options that may be undefined, and options on top of others.
  const [image] = await kelix.imagine("two red circles", { signal, steps, onPreview: undefined });
  const images: readonly DrawnImage[] = await kelix.imagine("two red circles", { signal, n: 2 });
  kelix.chat([{ role: "user", content: "Hello" }], { ...options, signal, maxNewTokens: steps });

  // Messages that were put into a variable first, without `as const`.
  const content = [
    { type: "image", image: "cat.png" },
    { type: "text", text: "What is this?" },
  ];
  const messages = [{ role: "user", content }];
  for await (const event of kelix.chat(messages)) {
    if (event.type === "text") messages.push({ role: "assistant", content: [{ type: "text", text: event.text }] });
    else if (event.type === "image") await kelix.reconstruct(event.codes, { seed: event.image.seed });
    else if (event.finishReason === "length") console.log(event.usage.promptTokens + event.usage.completionTokens);
  }
  if (!image) return;
  const { text, images: drawn } = await kelix.chat([{ role: "user", content: "Draw" }], { stop: "." }).result();
  kelix.chat([{ role: "user", content: [{ type: "image", image: drawn[0]?.codes ?? text }] }], { stop: ["."] });
  const said: string = await kelix.describe(image, { prompt: text, signal, maxNewTokens: undefined });
  const edited = await kelix.edit(image, said, { mask: [true, false], seed: 1, steps });
  for (const mask of ["mask.png", image, [[1, 0]], new Uint8Array(36)]) await kelix.edit("a.png", "blue", { mask });
  const vector: Float32Array = await kelix.embed(edited.codes, { signal });
  const scores = await kelix.score(messages);
  const best = scores.map(({ id, logprob, text, code }) => text ?? code?.book ?? logprob + id + vector.length);

  // An image as other libraries take it.
  new ImageData(image.data, image.width, image.height);
  sharp(image.data, { raw: image }).png();
  const file: [Uint8Array, Blob] = [await image.toPng(), await image.toBlob("webp")];
  const typed: ChatMessage[] = [{ role: "system", content: "Be brief." }];
  kelix.chat(typed);

  // Codes as they are, as they come out of JSON, and as a list.
  const codes: ImageCodes = await kelix.tokenize(new URL("file:///cat.png"), { signal });
  const list = { grid: [1, 1], codes: [1, 2, 3, 4, 5, 6, 7, 8] };
  const stored: CodesInput = JSON.parse(JSON.stringify(codes));
  for (const input of [codes, list, stored, { ...codes }, new ImageCodes(codes), ImageCodes.from(codes.toBytes())])
    await kelix.reconstruct(input);
  await kelix.reconstruct({ width: 1, height: 1, data: new Uint8ClampedArray(4) }, { guidance: 2, signal });
  await kelix.tokenize({ width: 1, height: 1, data: [1, 2, 3] });

  await writePng("circles.png", images[0] ?? image);
  console.log(best, file);
  await pullModel("owner/name", { revision: undefined, signal });

  // @ts-expect-error an option of another library
  kelix.chat(messages, { max_tokens: 3 });
  // @ts-expect-error an option of another call
  kelix.tokenize("cat.png", { steps: 3 });
  // @ts-expect-error a text is no list of messages
  kelix.chat("Hello");
  // @ts-expect-error a device that there is not
  Kelix.load("kelix-nano", { device: "gpu" });
  // @ts-expect-error images are a list
  (await kelix.imagine("two red circles")).codes;
  // @ts-expect-error events are no texts
  for await (const event of kelix.chat(messages)) event.length;
  await kelix.dispose();
}
