import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { encodePng } from "../image/codec.node.ts";
import { type DataSource, type Example, imagesOf } from "./example.ts";
import { openData } from "./open.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../../test/data/${name}`, import.meta.url));
/** The fixtures' images are of one colour each. */
const [red, green, blue, yellow] = [
  [222, 38, 42],
  [38, 160, 62],
  [38, 88, 222],
  [246, 208, 24],
];

let root: string;
let folder: string;
const opened: DataSource[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-sources-"));
});
beforeEach(async () => {
  for (const source of opened.splice(0)) await source.close();
  folder = await mkdtemp(join(root, "t-"));
});
afterAll(async () => {
  for (const source of opened) await source.close();
  await rm(root, { recursive: true });
});

async function open(path: string): Promise<DataSource> {
  const source = await openData(path);
  opened.push(source);
  return source;
}

async function readAll(source: DataSource): Promise<Example[]> {
  const examples: Example[] = [];
  for (let i = 0; i < source.count; i++) examples.push(await source.read(i));
  return examples;
}

/** The first pixel of each image. */
async function colours(examples: readonly Example[]): Promise<number[][]> {
  const found: number[][] = [];
  for (const image of examples.flatMap(imagesOf)) found.push([...(await image.read()).data.subarray(0, 3)]);
  return found;
}

/** What an example says, images as "*". */
function words(example: Example): string {
  if (example.kind === "image") return "*";
  if (example.kind === "caption") return `* ${example.caption}`;
  const turns = example.kind === "chat" ? example.turns : [{ role: "all", content: example.parts }];
  return turns
    .map(({ role, content }) => `${role}: ${content.map((part) => (part.type === "text" ? part.text : "*")).join(" ")}`)
    .join(" | ");
}

const lines = (rows: readonly unknown[]) =>
  rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n");
const write = (name: string, data: string | Uint8Array) => writeFile(join(folder, name), data);
const image = (rgb: readonly number[]) => encodePng({ width: 2, height: 1, data: Uint8Array.from([...rgb, ...rgb]) });

test("reads a folder of images with captions, questions, conversations and texts", async () => {
  await mkdir(join(folder, "images"));
  await write("images/r.png", await image(red!));
  await write("images/b.png", await image(blue!));
  const url = `data:image/png;base64,${Buffer.from(await image(green!)).toString("base64")}`;
  const rows = [
    { image: "images/r.png", caption: "all red" },
    "",
    { image: "images/b.png", question: "What colour is it?", answer: "blue" },
    {
      messages: [
        { role: "system", content: "Be brief." },
        {
          role: "user",
          content: [{ type: "image", image: "images/r.png" }, { type: "image", image: url }, "Which is red?"],
        },
        { role: "assistant", content: "the first" },
      ],
    },
    {
      messages: [
        { role: "user", content: [{ type: "image" }, { type: "text", text: "?" }] },
        { role: "assistant", content: "blue" },
      ],
      images: ["images/b.png"],
    },
    { question: "1 + 1?", answer: "2" },
    { text: "Colours are seen." },
    { image: "images/r.png" },
  ];
  await write("captions.jsonl", `\ufeff${lines(rows)}`);
  const source = await open(folder);
  expect(source.count).toBe(7);
  const examples = await readAll(source);
  expect(examples.map(words)).toEqual([
    "* all red",
    "user: * What colour is it? | assistant: blue",
    "system: Be brief. | user: * * Which is red? | assistant: the first",
    "user: * ? | assistant: blue",
    "user: 1 + 1? | assistant: 2",
    "all: Colours are seen.",
    "*",
  ]);
  expect(await colours(examples)).toEqual([red, blue, red, green, blue, red]);
  expect(examples[1]!.where).toBe("captions.jsonl, line 3");
});

test.each(["gnu.tar", "pax.tar"])("reads the WebDataset shard %s as Python's tarfile wrote it", async (name) => {
  const source = await open(fixture(name));
  const examples = await readAll(source);
  expect(examples.map(words)).toEqual([
    "* all red",
    "* all green",
    "* all blue",
    "user: * What colour is it? | assistant: yellow",
    "all: a text without an image",
  ]);
  expect(await colours(examples)).toEqual([red, green, blue, yellow]);
  expect(examples[3]!.where).toBe(`${name}, sample 4`);
});

test.each(["gnu.tar", "pax.tar"])("says what %s calls its samples, long names too", async (name) => {
  const source = await open(fixture(name));
  const long = `${"a-long-folder-name/".repeat(16)}0001`;
  const keys = await Promise.all(Array.from({ length: source.count }, (_, i) => source.key(i)));
  expect(keys).toEqual(["0000", long, "0002", "0003", "0010"]);
});

test("reads several shards as one, in the order of their names", async () => {
  await write("b.tar", await readFile(fixture("pax.tar")));
  await write("a.tar", await readFile(fixture("gnu.tar")));
  const source = await open(folder);
  expect(source.format).toBe("2 shards of WebDataset");
  expect((await readAll(source)).map(({ where }) => where).slice(4, 6)).toEqual(["a.tar, sample 5", "b.tar, sample 1"]);
});

test.each(["snappy", "zstd"])("reads the reference's Parquet as pyarrow wrote it, packed by %s", async (codec) => {
  const source = await open(fixture(`reference-${codec}.parquet`));
  expect(source.groups).toEqual([3, 3]);
  const examples = await readAll(source);
  const asked = (answer: string) => `user: * What colour is it? | assistant: ${answer}`;
  expect(examples.map(words)).toEqual([
    ...["red", "green", "blue", "yellow"].map(asked),
    "user: Draw red. | assistant: *",
    "all: Colours are seen.",
  ]);
  expect(await colours(examples)).toEqual([red, green, blue, yellow, red]);
  expect(examples[4]!.where).toBe(`reference-${codec}.parquet, row 5`);
});

test("reads Parquet with images as bytes, and with messages as lists", async () => {
  const pairs = await readAll(await open(fixture("pairs.parquet")));
  expect(pairs.map(words)).toEqual(["red", "green", "blue", "yellow"].map((name) => `* all ${name}`));
  expect(await colours(pairs)).toEqual([red, green, blue, yellow]);
  expect((await readAll(await open(fixture("nested.parquet")))).map(words)).toEqual([
    "user: Hello | assistant: Good day",
  ]);
});

test("reads a folder of images alone", async () => {
  await mkdir(join(folder, "sub"));
  await write("sub/b.png", await image(blue!));
  await write("a.PNG", await image(red!));
  await write("notes.md", "");
  expect(await colours(await readAll(await open(folder)))).toEqual([red, blue]);
});

test("tells other rows apart, and the same rows in another place not", async () => {
  await write("a.jsonl", '{"text":"one"}');
  const first = await open(join(folder, "a.jsonl"));
  await write("b.jsonl", '{"text":"one"}');
  await write("c.jsonl", '{"text":"two"}');
  expect((await open(join(folder, "b.jsonl"))).fingerprint).toBe(first.fingerprint);
  expect((await open(join(folder, "c.jsonl"))).fingerprint).not.toBe(first.fingerprint);
});

test("opens no image outside of the data's folder, whatever a row says", async () => {
  await writeFile(join(root, "secret.png"), await image(red!));
  await symlink(join(root, "secret.png"), join(folder, "link.png"));
  await symlink(root, join(folder, "up"));
  await symlink("inside.png", join(folder, "good-link.png"));
  await write("inside.png", await image(blue!));
  const names = [
    ["../secret.png", /below the data's folder/],
    [join(root, "secret.png"), /below the data's folder/],
    ["C:\\secret.png", /below the data's folder/],
    ["a\\..\\..\\secret.png", /below the data's folder/],
    ["link.png", /leads out/],
    ["up/secret.png", /leads out/],
    ["file:///etc/passwd", /only paths below/],
    ["http://127.0.0.1/a.png", /only paths below/],
    ["a\0.png", /no file's name/],
    ["none.png", /no such file/],
    [".", /is not a file/],
  ] as const;
  await write(
    "captions.jsonl",
    lines([...names.map(([name]) => ({ image: name, caption: "x" })), { image: "good-link.png", caption: "x" }]),
  );
  const source = await open(folder);
  for (const [i, [name, message]] of names.entries()) {
    const reading = source.read(i).then((example) => imagesOf(example)[0]!.read());
    await expect(reading, name).rejects.toMatchObject({ name: "InputError", message: expect.stringMatching(message) });
  }
  expect(await colours([await source.read(names.length)])).toEqual([blue]);
});

test("says which line is no row, and why", async () => {
  const rows = [
    ['{"image": "a.png", "caption": ', /line 1: is not JSON/],
    ["[1]", /line 2: expected an object/],
    ['{"picture": "a.png"}', /line 3: has none of the known sets of fields/],
    ['{"image": "a.png", "caption": 7}', /line 4: caption: expected a text, got 7/],
    ['{"messages": [{"role": "user", "content": "Hi"}]}', /line 5: .*the assistant says nothing/],
    ['{"messages": [{"role": "robot", "content": "Hi"}]}', /line 6: .*got "robot"/],
    ['{"messages": [{"role": "assistant", "content": [{"type": "video"}]}]}', /line 7: .*text or image, got "video"/],
    ['{"messages": [{"role": "assistant", "content": [{"type": "image"}]}]}', /line 8: .*mentions 1 images, but has 0/],
    [`{"text": ${"[".repeat(100_000)}`, /line 9: .*nested/],
    ['{"text": "a", "text": "b"}', /line 10: .*twice/],
    ['{"image": "a.png", "question": "Why?"}', /line 11: answer: expected a text/],
    [
      `{"messages": [${'{"role":"assistant","content":"a"},'.repeat(1024)}{"role":"assistant","content":"a"}]}`,
      /line 12: .*at most 1024/,
    ],
  ] as const;
  await write("rows.jsonl", lines(rows.map(([row]) => row)));
  const source = await open(join(folder, "rows.jsonl"));
  for (const [i, [, message]] of rows.entries()) {
    await expect(source.read(i)).rejects.toMatchObject({ name: "InputError", message: expect.stringMatching(message) });
  }
});

test("says of files what they are not", async () => {
  const tar = await readFile(fixture("gnu.tar"));
  await write("short.tar", tar.subarray(0, 600));
  await write("text.tar", "no tar at all ".repeat(100));
  await write("gzip.tar", Uint8Array.from([0x1f, 0x8b, ...new Uint8Array(600)]));
  await write("empty.tar", new Uint8Array(1024));
  const parquet = await readFile(fixture("reference-zstd.parquet"));
  await write("cut.parquet", parquet.subarray(0, -100));
  await write(
    "footer.parquet",
    Buffer.concat([parquet.subarray(0, -8), Buffer.from([255, 255, 255, 0]), Buffer.from("PAR1")]),
  );
  const renamed = Buffer.from(parquet); // in the last row group, which stands behind the schema
  renamed.write("uuie", renamed.lastIndexOf("uuid"));
  await write("renamed.parquet", renamed);
  await write("empty.jsonl", "\n \n");
  await write("other.csv", "a,b");
  for (const [name, message] of [
    ["short.tar", /short\.tar: is cut off/],
    ["text.tar", /text\.tar: is not a tar/],
    ["gzip.tar", /unpack it first/],
    ["empty.tar", /no sample/],
    ["cut.parquet", /cut\.parquet: is not Parquet, or cut off/],
    ["footer.parquet", /footer claims/],
    ["renamed.parquet", /row group 2 does not follow the file's schema/],
    ["empty.jsonl", /has no rows/],
    ["other.csv", /expected a folder, or a file that ends in/],
    ["none.jsonl", /there is no such file/],
    [".", /files of 3 formats/],
  ] as const) {
    await expect(open(join(folder, name)), name).rejects.toMatchObject({
      name: "InputError",
      message: expect.stringMatching(message),
    });
  }
});

test("says so when a file has become shorter since it was opened", async () => {
  await write("a.jsonl", lines([{ text: "one" }, { text: "two" }]));
  const source = await open(join(folder, "a.jsonl"));
  await truncate(join(folder, "a.jsonl"), 5);
  await expect(source.read(1)).rejects.toThrow(/a\.jsonl, line 2: the file has become shorter/);
});
