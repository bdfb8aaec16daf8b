// Chromium: Debian's, or the one that CHROMIUM names. kelix.test is this machine under a name that is not secure; the camera is a
// moving test image.

import { access } from "node:fs/promises";
import { type Browser, chromium, type LaunchOptions } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export const chromiumArgs = [
  "--no-sandbox",
  "--host-resolver-rules=MAP kelix.test 127.0.0.1",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];

export async function launchChromium({ args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), args: [...chromiumArgs, ...args], ...options });
}

/** Throws, saying where to get it, when there is none. */
export async function findChromium(): Promise<string> {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const path of places) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  throw new Error("There is no Chromium here: install it (apt-get install chromium), or name it in CHROMIUM");
}
