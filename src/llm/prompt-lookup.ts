// Guesses how a text goes on from what stands in the row already (prompt lookup decoding; arXiv:2304.04487): where its last ids
// occurred before, the ids after them are likely to follow again. generate.ts reads the guess in one run and keeps what it
// would have written anyway.

/** Shorter repetitions are chance. */
const LEAST_MATCH = 2;
const LONGEST_MATCH = 4;

/**
 * Up to `count` ids that followed the latest earlier occurrence of the row's last ids, the longest such ending first; none
 * without a repetition. Where they reach the row's end they go on as the guess began. Ends before an id that is not allowed.
 */
export function lookUp(row: readonly number[], count: number, isAllowed: (id: number) => boolean): number[] {
  for (let n = Math.min(LONGEST_MATCH, row.length - 1); n >= LEAST_MATCH && count > 0; n--) {
    for (let end = row.length - 1; end >= n; end--) {
      if (!endsAlike(row, end, n)) continue;
      const guess: number[] = [];
      while (guess.length < count) {
        const id = row[end + guess.length] ?? guess[end + guess.length - row.length]!;
        if (!isAllowed(id)) break;
        guess.push(id);
      }
      return guess;
    }
  }
  return [];
}

/** Whether the n ids before `end` are the row's last n. */
function endsAlike(row: readonly number[], end: number, n: number): boolean {
  for (let i = 1; i <= n; i++) if (row[end - i] !== row[row.length - i]) return false;
  return true;
}
