// The byte-to-character table of byte-level tokenizers, from GPT-2 (`bytes_to_unicode`).

/** The printable character for each byte: itself if printable, else one from 256 on. */
export const byteCharacters: readonly string[] = (() => {
  const isPrintable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();
