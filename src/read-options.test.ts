import { describe, expect, test } from "vitest";
import { InputError } from "./errors.ts";
import type { Call } from "./options.ts";
import { readOptions } from "./read-options.ts";

function refusal(call: Call, options: unknown): string {
  try {
    readOptions(call, options);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).code).toBe("invalid_option");
    return (error as InputError).message;
  }
  throw new Error("was accepted");
}

describe("reading options", () => {
  test("fills in defaults, and takes what is undefined for absent", () => {
    expect(readOptions("chat", { steps: undefined, other: undefined, topK: 3 })).toEqual({
      seed: 0,
      maxNewTokens: 256,
      minNewTokens: 0,
      mayDraw: true,
      stop: [],
      promptLookupNumTokens: 0,
      receipt: true,
      topK: 3,
    });
    expect(readOptions("tokenize", Object.create({ signal: AbortSignal.abort() })).signal?.aborted).toBe(true);
  });

  test.each([
    ["reconstruct", { steps: 0 }, "Expected `steps` to be an integer from 1 to 1000, got 0"],
    ["reconstruct", { steps: "20" }, 'Expected `steps` to be an integer from 1 to 1000, got "20"'],
    ["reconstruct", { steps: null }, "Expected `steps` to be an integer from 1 to 1000, got null"],
    ["reconstruct", { steps: 1.5 }, "Expected `steps` to be an integer from 1 to 1000, got 1.5"],
    ["reconstruct", { seed: -1 }, "Expected `seed` to be an integer from 0 to 9007199254740991, got -1"],
    ["reconstruct", { seed: 5n }, "Expected `seed` to be an integer from 0 to 9007199254740991, got 5n"],
    ["reconstruct", { guidance: Number.NaN }, "Expected `guidance` to be a number from 0 to 100, got NaN"],
    ["imagine", { temperature: -1 }, "Expected `temperature` to be a number from 0 to 100, got -1"],
    ["imagine", { temperature: Number.NaN }, "Expected `temperature` to be a number from 0 to 100, got NaN"],
    ["imagine", { topK: 1.5 }, "Expected `topK` to be an integer from 0 to 4194304, got 1.5"],
    ["imagine", { topP: 1.1 }, "Expected `topP` to be a number above 0 and at most 1, got 1.1"],
    ["imagine", { topP: 0 }, "Expected `topP` to be a number above 0 and at most 1, got 0"],
    ["imagine", { n: 1001 }, "Expected `n` to be an integer from 1 to 1000, got 1001"],
    ["load", { device: "gpu" }, 'Expected `device` to be one of cpu, webgpu, cuda, wasm, got "gpu"'],
    ["load", { threads: -1 }, "Expected `threads` to be an integer from 1 to 256, got -1"],
    ["load", { threads: 1e9 }, "Expected `threads` to be an integer from 1 to 256, got 1000000000"],
    ["load", { onProgress: 5 }, "Expected `onProgress` to be a function, got 5"],
    ["load", { ignoreMemory: "yes" }, 'Expected `ignoreMemory` to be true or false, got "yes"'],
    ["load", { detokenizer: [5] }, "Expected `detokenizer` to be a folder's name, or a list of them, got [5]"],
    ["load", { autoencoder: "" }, 'Expected `autoencoder` to be a text that is not empty, got ""'],
    [
      "chat",
      { signal: new AbortController() },
      "Expected `signal` to be an AbortSignal, such as the `signal` of an AbortController, got an AbortController",
    ],
    ["chat", 5, "Expected the options of `chat` as an object, got 5"],
    ["chat", null, "Expected the options of `chat` as an object, got null"],
  ] as const)("of %s rejects %o", (call, options, message) => {
    expect(refusal(call, options)).toBe(message);
  });

  test.each([
    ["chat", "max_tokens", "maxNewTokens"],
    ["chat", "max_new_tokens", "maxNewTokens"],
    ["chat", "maxTokens", "maxNewTokens"],
    ["chat", "maxOutputTokens", "maxNewTokens"],
    ["chat", "max_completion_tokens", "maxNewTokens"],
    ["chat", "maxNewTokesn", "maxNewTokens"],
    ["chat", "top_k", "topK"],
    ["chat", "top_p", "topP"],
    ["chat", "prompt_lookup_num_tokens", "promptLookupNumTokens"],
    ["chat", "abortSignal", "signal"],
    ["chat", "stop_sequences", "stop"],
    ["imagine", "num_inference_steps", "steps"],
    ["imagine", "guidance_scale", "guidance"],
    ["imagine", "num_images_per_prompt", "n"],
    ["imagine", "temprature", "temperature"],
    ["load", "num_threads", "threads"],
    ["load", "vae", "autoencoder"],
    ["load", "progress_callback", "onProgress"],
  ] as const)("of %s rejects `%s` and asks whether `%s` is meant", (call, name, meant) => {
    expect(refusal(call, { [name]: 1 })).toBe(`Unknown option \`${name}\` of \`${call}\`; did you mean \`${meant}\`?`);
  });

  test.each([
    ["chat", "stop_token_ids", "`stop` takes texts"],
    ["chat", "logprobs", "`topLogprobs` of"],
    ["chat", "do_sample", "set `temperature`"],
    ["imagine", "width", "the size that the model was trained for"],
    ["load", "dtype", "kelix convert"],
    ["load", "cache_dir", "HF_HOME"],
    ["load", "model", "Kelix.load(name)"],
    ["chat", "n", "it is one of `imagine`"],
    ["tokenize", "seed", "it is one of `reconstruct`"],
    ["tokenize", "colour", "there are cacheKey, signal"],
    ["load", "constructor", "there are detokenizer"],
    ["load", "__proto__x", "there are detokenizer"],
  ] as const)("of %s rejects `%s` and says what there is instead", (call, name, advice) => {
    expect(refusal(call, { [name]: 1 })).toContain(advice);
  });

  test("repeats no long name or value", () => {
    expect(refusal("chat", { ["x".repeat(1e5)]: 1 }).length).toBeLessThan(500);
    expect(refusal("chat", { steps: "9".repeat(1e5) }).length).toBeLessThan(300);
  });
});
