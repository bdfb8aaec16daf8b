// Finds Chromium, and starts it for tests.

import { access } from "node:fs/promises";
import { type Browser, chromium } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** A software adapter of WebGPU, SwiftShader, which every Chromium brings along. */
export const SOFTWARE_WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan,WebGPU",
  "--ignore-gpu-blocklist",
];

/** For the page: a name of this machine that is not secure, and a camera that shows a moving test image. */
export const PAGE_ARGS = [
  "--host-resolver-rules=MAP kelix.test 127.0.0.1",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];

export async function launchChromium(args: readonly string[] = []): Promise<Browser> {
  const exists = (path: string) =>
    access(path).then(
      () => path,
      () => undefined,
    );
  const found = await Promise.all(places.map(exists));
  const executablePath = process.env.CHROMIUM || found.find((path) => path !== undefined);
  if (!executablePath)
    throw new Error("There is no Chromium here: install it (apt-get install chromium), or name it in CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}
