// What is asked of Kelix in the browser and in Node, to be compared.

/**
 * @param {typeof import("../../../src/kelix.ts").Kelix} Kelix
 * @param {{ model?: string, files?: { path: string, url: string }[], image: string, question: string, prompt?: string, steps?: number, maxNewTokens?: number, options?: object }} job
 *   the model by its name, or the addresses of its files
 */
export async function runJob(Kelix, { model, files, image, question, prompt, steps = 4, maxNewTokens, options }) {
  const given = files && (await Promise.all(files.map(fetchFile)));
  let fetched = 0;
  const onProgress = ({ task, done }) => {
    if (task === "fetch") fetched = done;
  };
  const kelix = await Kelix.load(given ?? model, { ...options, onProgress });
  try {
    const codes = await kelix.tokenize(image);
    const text = await kelix.describe(codes, { prompt: question, maxNewTokens });
    const drawn = prompt === undefined ? [] : await kelix.imagine(prompt, { seed: 3, steps });
    const again = await kelix.reconstruct(codes, { seed: 1, steps });
    const messages = [
      {
        role: "user",
        content: [
          { type: "image", image: codes },
          { type: "text", text: question },
        ],
      },
      { role: "assistant", content: text },
    ];
    const scores = await kelix.score(messages);
    const pixels = ({ width, height, data }) => ({ width, height, data: [...data] });
    return {
      fetched,
      devices: kelix.info().devices,
      drewOn: again.receipt?.machine.device,
      codes: codes.toJSON(),
      text,
      drawn: drawn.map((one) => ({ ...pixels(one), codes: one.codes.toJSON() })),
      again: pixels(again),
      png: pixels(await roundTrip(again)),
      logProbabilities: scores.map(({ logprob }) => logprob),
    };
  } finally {
    await kelix.dispose();
  }
}

/** @param {{ path: string, url: string }} file */
async function fetchFile({ path, url }) {
  return { path, data: await (await fetch(url)).blob() };
}

/**
 * The image's PNG, decoded by the platform itself where that is a browser.
 * @param {import("../../../src/image/image.ts").Image} image
 */
async function roundTrip(image) {
  const bytes = await image.toPng();
  if (typeof OffscreenCanvas === "undefined") return image;
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
