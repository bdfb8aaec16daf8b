import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { publicUrl, splitCredentials, withoutSecrets } from "./safe-url.ts";

test.each([
  ["https://h.example/a/cat.png?X-Signature=SECRET", "https://h.example/a/cat.png"],
  ["https://SECRET:SECRET@h.example:8443/cat.png#SECRET", "https://h.example:8443/cat.png"],
  ["https://SECRET@h.example/cat.png", "https://h.example/cat.png"],
  ["https://u:SECRET@SECRET@h.example/c@t.png", "https://h.example/c@t.png"],
  ["https:h.example/cat.png?SECRET", "https:h.example/cat.png"],
  ["  HTTPS://h.example/cat.png?a\n=SECRET", "HTTPS://h.example/cat.png"],
  ["https:\\\\u:SECRET@h.example\\cat.png", "https:\\\\h.example\\cat.png"],
  ["s3://bucket/key?X-Amz-Signature=SECRET", "s3://bucket/key"],
  ["https://u:SEC/RET@[h.example", "https://[h.example"],
  ['https:/"\0:SECRET@h.example/p?q', "https:/h.example/p"],
  ["https:r\0:SECRET@h.example", "https:h.example"],
  ["htt\tps://u:PASS@h.example", "https://h.example"],
  ["\0https://u:SECRET@h.example", "https://h.example"],
  ["\n\0https://u:PASS@h.example", "https://h.example"],
  ['htts://a"\0:SECRET@h.example', "htts://h.example"],
  ["h://u:SECRET@h.example", "h://h.example"],
  ["htts://u\\v:SECRET@h.example/a", "htts://h.example/a"],
  ["http://[h.example/x?SECRET", "http://[h.example/x"],
  ["data:image/png;base64,SECRET", "data:image/png"],
  ["data:,SECRET", "data:"],
  ["a folder/cat.png", "a folder/cat.png"],
  ["what?#1.png", "what?#1.png"],
  ["C:\\pictures\\cat.png", "C:\\pictures\\cat.png"],
  ["file:///a/b@c.png", "file:///a/b@c.png"],
])("of %j is shown %j", (input, shown) => {
  expect(publicUrl(input)).toBe(shown);
  if (input.includes("SECRET")) expect(withoutSecrets(`${input}: is not there`)).not.toMatch(/SECRET(?!: is)/);
});

test("takes secrets out of a sentence and leaves the sentence", () => {
  expect(withoutSecrets("From 'https://u:p@h/a.png?k=1', not (http://h/b?c=2).")).toBe(
    "From 'https://h/a.png', not (http://h/b).",
  );
  expect(withoutSecrets('got "data:image/png;base64,AAAA", wanted')).toBe('got "data:image/png", wanted');
  expect(withoutSecrets("hf_abcdefghijklmnop and Bearer abcdefghijkl")).toBe("hf_*** and Bearer ***");
  const plain = "metadata: 1, HF_ENDPOINT, hf_tokenizer/a.json, https://h.example/a, a:b@c, what? #1";
  expect(withoutSecrets(plain)).toBe(plain);
  expect(new InputError("https://h/a?SECRET").message).toBe("https://h/a");
});

test("takes no longer for a hostile text than for another", () => {
  const start = performance.now();
  for (const text of [
    "a.".repeat(100_000),
    "data:".repeat(50_000),
    "https:".repeat(50_000),
    `https://h/?${".".repeat(200_000)}x`,
  ])
    publicUrl(withoutSecrets(text));
  expect(performance.now() - start).toBeLessThan(1000);
});

test("what fetch rejects in an address becomes a header", () => {
  const { url, headers } = splitCredentials("https://a%40b:p%3Aw@h.example/x?y#z");
  expect(url.href).toBe("https://h.example/x?y#z");
  expect(headers.Authorization).toBe(`Basic ${btoa("a@b:p:w")}`);
  expect(splitCredentials("https://ü:50%@h.example").headers.Authorization).toBe("Basic w7w6NTAl");
  const long = "p".repeat(200_000);
  expect(splitCredentials(`https://u:${long}@h.example`).headers.Authorization).toBe(`Basic ${btoa(`u:${long}`)}`);
  expect(splitCredentials("https://h.example/x").headers).toEqual({});
});
