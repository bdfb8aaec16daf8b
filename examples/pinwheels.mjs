// Thirty drawings of a concept that kelix-nano does not know: twenty to learn from, with captions, and ten to try it on.
//   node pinwheels.mjs [FOLDER]     writes FOLDER/captions.jsonl, FOLDER/*.png and FOLDER/unseen/*.png
// Pinwheels of many kinds: four to eight sails, flat, outlined or shaded, in any colours, with or without a stick.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const SIDE = 96;
const folder = process.argv[2] ?? "pinwheels";
const colours = [
  "#e53935",
  "#fb8c00",
  "#fdd835",
  "#43a047",
  "#00acc1",
  "#1e88e5",
  "#8e24aa",
  "#d81b60",
  "#6d4c41",
  "#546e7a",
];
const backgrounds = ["#ffffff", "#ffffff", "#ffffff", "#fdf6e3", "#e8f1fa", "#eef7ea"];

/** mulberry32: the same drawings everywhere. */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pinwheel(seed) {
  const random = randomFrom(seed * 7919 + 1);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const sails = 4 + Math.floor(random() * 5);
  const radius = SIDE * (0.26 + 0.12 * random());
  const hasStick = random() < 0.65;
  const [x, y] = [SIDE / 2 + 6 * (random() - 0.5), hasStick ? radius + 6 + 4 * random() : SIDE / 2];
  const style = pick(["flat", "flat", "outlined", "shaded"]);
  const [first, second, stick] = [pick(colours), pick(colours), pick(["#6d4c41", "#546e7a", "#9e9e9e"])];
  const turn = random() * 360;
  const side = random() < 0.5 ? 1 : -1;
  const at = (angle, r) => `${r * Math.cos(angle)} ${r * Math.sin(angle)}`;
  const step = (2 * Math.PI) / sails;
  const blades = Array.from({ length: sails }, (_, i) => {
    const a = i * step;
    // A sail: from the hub out along one edge, and back in a curve.
    const path = `M0 0 L${at(a, radius)} Q${at(a + side * step * 0.75, radius * 0.95)} ${at(a + side * step * 0.8, radius * 0.5)} Z`;
    const fill = i % 2 === 0 || sails % 2 === 1 ? first : second;
    const inner = `M0 0 L${at(a, radius)} L${at(a + side * step * 0.4, radius * 0.55)} Z`;
    const line = style === "outlined" ? 'stroke="#222" stroke-width="2" stroke-linejoin="round"' : "";
    const shade = style === "shaded" ? `<path d="${inner}" fill="#000" opacity="0.22"/>` : "";
    return `<path d="${path}" fill="${fill}" ${line}/>${shade}`;
  });
  const hub = `<circle r="${radius * 0.12}" fill="${pick(["#fff", "#222", "#fdd835"])}" stroke="#222" stroke-width="1"/>`;
  const pole = `<line x1="${x}" y1="${y}" x2="${x + 8 * (random() - 0.5)}" y2="${SIDE - 4}" stroke="${stick}" stroke-width="${3 + 2 * random()}" stroke-linecap="round"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}"><rect width="100%" height="100%" fill="${pick(backgrounds)}"/>
${hasStick ? pole : ""}<g transform="translate(${x} ${y}) rotate(${turn})">${blades.join("")}${hub}</g></svg>`;
}

await mkdir(join(folder, "unseen"), { recursive: true });
const rows = [];
for (let i = 0; i < 30; i++) {
  const name = i < 20 ? `pinwheel-${i}.png` : join("unseen", `pinwheel-${i}.png`);
  await sharp(Buffer.from(pinwheel(i)))
    .removeAlpha()
    .png()
    .toFile(join(folder, name));
  if (i < 20) rows.push(JSON.stringify({ image: name, caption: "a pinwheel" }));
}
await writeFile(join(folder, "captions.jsonl"), `${rows.join("\n")}\n`);
