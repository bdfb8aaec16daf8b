// 100 images that were drawn alone are drawn again in another process's place, a model that was loaded anew: all byte for byte.

import { expect, test } from "vitest";
import { Kelix, replay } from "../../src/index.ts";

const prompts = ["two red circles", "a blue square", "a green star", "a rocket", "the word CAT", "three yellow hearts"];

test("100 of 100 images drawn alone are the same bytes again", async () => {
  const files: Uint8Array[] = [];
  {
    await using kelix = await Kelix.load("kelix-nano", { threads: 1 });
    for (let seed = 0; seed < 100; seed++) {
      const [image] = await kelix.imagine(prompts[seed % prompts.length]!, { seed, steps: 10 });
      if (seed % 10 === 9) await kelix.describe(image!); // other work between them
      files.push(await image!.toPng());
    }
  }
  await using kelix = await Kelix.load("kelix-nano", { threads: 1 });
  let same = 0;
  for (const file of files) {
    const { verdict, expected, image } = await replay(kelix, file);
    if (verdict === "identical" && expected === "identical" && Buffer.from(await image.toPng()).equals(file)) same++;
  }
  expect(same).toBe(100);
}, 1_800_000);
