// Calls of the public API with arguments that nobody thought of: close to what is expected, or anything at all.

import fc from "fast-check";
import { ImageCodes, type Kelix, KelixError, pullModel, writePng } from "../src/index.ts";

const anything = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withTypedArray: true,
    withSparseArray: true,
    withBoxedValues: true,
    maxDepth: 3,
  }),
  fc.constantFrom(
    Promise.resolve(),
    Symbol("s"),
    () => 1,
    new AbortController(),
    new Blob([]),
    "x".repeat(50_000),
    "a\0b",
  ),
  fc.constantFrom("data:,x", "file://host/x", "http://", new URL("data:,x"), new ArrayBuffer(3), new String("x")),
);
const part = fc.record({ type: fc.constantFrom("text", "image", "file"), text: anything, image: anything });
const message = fc.record({
  role: fc.oneof(fc.constant("user"), anything),
  content: fc.oneof(anything, fc.array(part)),
});
const image = fc.oneof(
  anything,
  fc.record({
    width: fc.oneof(fc.constant(2), anything),
    height: fc.constant(2),
    data: fc.oneof(fc.array(fc.double()), anything),
  }),
);
const codes = fc.record({
  grid: fc.oneof(fc.constant([1, 1]), anything),
  codes: fc.oneof(anything, fc.array(fc.oneof(fc.integer({ max: 20 }), anything), { minLength: 8, maxLength: 8 })),
});
const options = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  anything,
  fc.dictionary(
    fc.constantFrom("seed", "steps", "guidance", "n", "signal", "onProgress", "topP", "max_tokens", "stop"),
    anything,
  ),
);

/** Throws unless every call either works or says in a sentence of ours what is wrong. */
export async function tryOddArguments(kelix: Kelix, numRuns: number, seed?: number): Promise<void> {
  const call = fc.oneof(
    fc.tuple(image, options).map(
      ([image, options]) =>
        () =>
          kelix.tokenize(image as never, options as never),
    ),
    fc.tuple(fc.oneof(image, codes), options).map(
      ([input, options]) =>
        () =>
          kelix.reconstruct(input as never, options as never),
    ),
    fc.tuple(anything, options).map(
      ([prompt, options]) =>
        () =>
          kelix.imagine(prompt as never, options as never),
    ),
    fc.tuple(fc.oneof(image, codes), options).map(
      ([image, options]) =>
        () =>
          kelix.describe(image as never, options as never),
    ),
    fc.tuple(fc.oneof(image, codes), options).map(
      ([image, options]) =>
        () =>
          kelix.embed(image as never, options as never),
    ),
    fc.tuple(fc.oneof(image, codes), anything, anything, options).map(
      ([image, prompt, mask, options]) =>
        () =>
          kelix.edit(image as never, prompt as never, { ...(options as object), mask } as never),
    ),
    fc.tuple(fc.oneof(anything, fc.array(message)), options).map(
      ([messages, options]) =>
        () =>
          kelix.score(messages as never, options as never),
    ),
    anything.map((input) => async () => ImageCodes.from(input as never)),
    fc.tuple(fc.oneof(anything, fc.array(message)), options).map(([messages, options]) => async () => {
      for await (const _ of kelix.chat(messages as never, options as never)) break;
    }),
    image.map((image) => () => writePng("/nowhere/x.png", image as never)),
    fc.tuple(anything, anything).map(
      ([name, options]) =>
        () =>
          pullModel(name as never, options as never),
    ),
  );
  const property = fc.asyncProperty(call, async (call) => {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof KelixError)) throw error;
      const { message } = error;
      if (message.length > 1000) throw new Error(`a message of ${message.length} characters`, { cause: error });
      if (foreign.test(message)) throw new Error(`another library's words: ${message}`, { cause: error });
    }
  });
  await fc.assert(property, { numRuns, ...(seed !== undefined && { seed }) });
}

/** What an engine or another library says in place of a sentence of ours. */
export const foreign =
  /Cannot (read|set|convert|destructure)|is not (a function|iterable|defined)|undefined \(reading|Invalid (array|typed array)|onnx|Vips|zod|"code":/i;
