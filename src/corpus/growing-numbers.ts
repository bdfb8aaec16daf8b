// A growing list of numbers, eight bytes each, as an index over millions of rows; and a search in it.

export class GrowingNumbers {
  #values = new Float64Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(2 * this.#length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  at(index: number): number {
    if (!(index >= 0 && index < this.#length)) throw new RangeError(`no entry ${index} of ${this.#length}`);
    return this.#values[index]!;
  }
}

/** The last index whose start is at or before `value`; of equal starts the last, which is the one that is not empty. */
export function findLast(starts: ArrayLike<number>, value: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
