// How byte-level tokenizers write bytes as characters, after GPT-2 (`bytes_to_unicode`).

/** The printable character that stands for each byte: itself where it is printable, else one from 256 on. */
export const byteCharacters: readonly string[] = (() => {
  const isPrintable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();
