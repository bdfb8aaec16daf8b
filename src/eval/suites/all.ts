// Every suite by its name.

import type { Suite } from "../suite.ts";
import { compose } from "./compose.ts";
import { edit } from "./edit.ts";
import { emojiImagine } from "./emoji-imagine.ts";
import { glyphGrid } from "./glyph-grid.ts";
import { lettering } from "./lettering.ts";
import { naming } from "./naming.ts";
import { reconstruction } from "./reconstruction.ts";
import { renderText } from "./render-text.ts";
import { scenes } from "./scenes.ts";
import { vqa } from "./vqa.ts";

export const suites: Readonly<Record<string, Suite>> = {
  reconstruction,
  naming,
  scenes,
  lettering,
  compose,
  edit,
  "render-text": renderText,
  "emoji-imagine": emojiImagine,
  "glyph-grid": glyphGrid,
  vqa,
};
