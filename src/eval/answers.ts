// Compares text answers with the right ones.

/** Lower case, without a leading article or trailing punctuation, whitespace collapsed. */
export function plainAnswer(text: string): string {
  return text
    .toLowerCase()
    .trim()
    .replace(/[.!?,;:]+$/, "")
    .replace(/^(an?|the)\s+/, "")
    .replace(/\s+/g, " ");
}

export function isSameAnswer(answer: string, right: string): boolean {
  return plainAnswer(answer) === plainAnswer(right);
}

/** Whether the right answer occurs in the text, as whole words. */
export function containsAnswer(answer: string, right: string): boolean {
  const words = (text: string) =>
    ` ${plainAnswer(text)
      .replace(/[^\p{L}\p{N}]+/gu, " ")
      .trim()} `;
  return words(right).trim() !== "" && words(answer).includes(words(right));
}

/** Edit distance between two texts (Levenshtein, 1965). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j]! + (a[i] === b[j] ? 0 : 1), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** 1 minus the edit distance over the longer text's length. */
export function similarity(a: string, b: string): number {
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 1 : 1 - editDistance(a, b) / longer;
}

/**
 * Average normalised Levenshtein similarity of one answer (Biten et al., arXiv:1905.13648): the similarity to the nearest right answer,
 * or 0 if it is below one half.
 */
export function anls(answer: string, right: readonly string[]): number {
  const plain = (text: string) => text.toLowerCase().trim().replace(/\s+/g, " ");
  const best = Math.max(...right.map((text) => similarity(plain(answer), plain(text))));
  return best >= 0.5 ? best : 0;
}

/** The accuracy when each question gets its most common answer, regardless of the image. */
export function questionFloor(items: readonly { readonly question: string; readonly answer: string }[]): number {
  const byQuestion = new Map<string, string[]>();
  for (const { question, answer } of items) byQuestion.set(question, [...(byQuestion.get(question) ?? []), answer]);
  const right = [...byQuestion.values()].reduce((sum, answers) => sum + majority(answers) * answers.length, 0);
  return items.length ? right / items.length : 0;
}

/** The share of the most common answer. */
export function majority(answers: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return answers.length ? Math.max(...counts.values()) / answers.length : 0;
}
