// What a user typed, or a file holds, as a message repeats it. Like ../errors.ts, but starting the program loads nothing of the library.

/** A message repeats at most so many characters. */
const MAX_QUOTE = 200;

/** The first 200 characters. */
export function excerpt(text: string): string {
  return text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE - 1)}…` : text;
}

/** The same in quotes. */
export function quote(text: string): string {
  return JSON.stringify(excerpt(text));
}

/** Text in which names from files may stand: characters that would steer a terminal, begin a line or turn its direction are spelled out. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
