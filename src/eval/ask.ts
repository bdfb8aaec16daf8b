// One question about one image, and the whole answer.

import type { RgbImage } from "../image/rgb.ts";
import type { Kelix } from "../kelix.ts";
import type { ChatOptions } from "../options.ts";

/** What the model answers, without spaces around it; greedy unless the options say otherwise. */
export async function askAbout(kelix: Kelix, image: RgbImage, question: string, options: ChatOptions): Promise<string> {
  const content = [
    { type: "image", image },
    { type: "text", text: question },
  ] as const;
  const { text } = await kelix.chat([{ role: "user", content }], options).result();
  return text.trim();
}
