// A list of numbers that grows, eight bytes each: an index over millions of rows.

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
