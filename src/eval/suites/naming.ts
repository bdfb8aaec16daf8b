// naming: "What is this?" about emoji of known concepts in a held-out style.

import { isSameAnswer, majority } from "../answers.ts";
import { thumbnailFloor } from "../floors/thumbnails.ts";
import { findTrainingDrawings } from "../floors/training-drawings.ts";
import { shareOf } from "../measure.ts";
import { itemCount, MOST_SAMPLES, type Sample, type Suite, spread } from "../suite.ts";
import { knownConcepts } from "./held-out.ts";

const QUESTION = "What is this?";

export const naming: Suite = {
  about: "names emoji in a held-out style",
  async run(context) {
    const all = await knownConcepts();
    const items = spread(all, itemCount(context, all.length));
    const right: boolean[] = [];
    const samples: Sample[] = [];
    for (const [i, { image, caption }] of items.entries()) {
      context.step("naming", i, items.length);
      const answer = await context.model.ask(image, QUESTION);
      const isRight = isSameAnswer(answer, caption);
      right.push(isRight);
      samples.push({ images: [{ label: caption, image }], text: answer, isRight });
    }
    const drawings = await findTrainingDrawings(context.cacheFolder);
    if (!drawings)
      context.log("naming: without the training drawings (`kelix data`) there is no nearest-neighbour floor");
    const asImages = items.map(({ image, hexcode }) => ({ image, hexcode }));
    const floors = {
      majority: majority(all.map(({ caption }) => caption)),
      ...(drawings && { pixelNeighbour: await thumbnailFloor(context, drawings, asImages) }),
    };
    return { measures: { accuracy: shareOf(right, floors) }, details: [], samples: spread(samples, MOST_SAMPLES) };
  },
};
