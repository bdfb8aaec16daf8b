import { readRunConfig } from "./src/train/config.ts";
import { Samples } from "./src/train/data/samples.ts";
import { RowWriter } from "./src/train/data/rows.ts";
import { TextTokenizer } from "./src/text/tokenizer.ts";
import { folderFiles } from "./src/files/folder.node.ts";
import { sampleRows } from "./src/train/stages/language-batch.ts";
import { kindsOf } from "./src/train/data/mix.ts";
const run = await readRunConfig("configs/nano/language-model.json");
const data: any = { promptless: 0.1, wrongCodes: 0, ...run.data, scoredBlocks: undefined, labels: undefined, length: 200 };
const samples = await Samples.open({ cache: undefined, side: 96, kinds: kindsOf(data.questions, data.requests), own: undefined });
const writer = new RowWriter(await TextTokenizer.load(folderFiles(process.argv[2]!)), 36);
let [blocks, labels, len] = [0, 0, 0]; const lens: number[] = []; const bl: number[] = [], la: number[] = [];
for (let step = 0; step < Number(process.argv[3]); step++) {
  const rows = await sampleRows(samples, writer, data, { seed: 3, step: step * 91, slots: 9 });
  let [b, l] = [0, 0];
  for (const row of rows) { lens.push(row.ids.length); row.ids.forEach((id, t) => { if (t && row.isAnswer[t]) { b++; l += id === writer.imageId ? 9 : 2; } }); }
  bl.push(b); la.push(l);
}
const q = (x: number[]) => { x.sort((a, b) => a - b); return [x[0], x[x.length >> 1], x[Math.floor(x.length * 0.99)], x.at(-1)]; };
console.log("length", q(lens), "blocks", q(bl), "labels", q(la));
