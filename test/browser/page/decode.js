// The browser's image codec by itself.

import { decodeImage, encodeImage } from "../../../src/image/codec.web.ts";

globalThis.decode = async (url) => {
  try {
    const { width, height, data } = await decodeImage(new Uint8Array(await (await fetch(url)).arrayBuffer()), "image");
    const again = await decodeImage(await encodeImage({ width, height, data }, "png"));
    return { width, height, data: [...data], isLossless: again.data.every((value, i) => value === data[i]) };
  } catch (error) {
    return { error: error.message };
  }
};
