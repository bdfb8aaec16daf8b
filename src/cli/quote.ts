// What a user typed, or a file holds, as a message repeats it.

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
