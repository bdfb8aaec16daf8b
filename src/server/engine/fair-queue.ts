// The waiting requests. Keys take turns, and each key's requests stay in order. When the queue is full, the key with the most requests loses one.

export class FairQueue<T> {
  readonly #limit: number;
  /** By key, in the order of their turns. */
  readonly #waiting = new Map<string, T[]>();
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  add(key: string, item: T): void {
    const own = this.#waiting.get(key);
    if (own) own.push(item);
    else this.#waiting.set(key, [item]);
    this.#size++;
  }

  /** Takes the next acceptable item. A key whose first item is not accepted is skipped and keeps its place. */
  take(accepts: (item: T) => boolean): T | undefined {
    for (const [key, [first, ...others]] of this.#waiting) {
      if (!accepts(first!)) continue;
      this.#waiting.delete(key);
      if (others.length > 0) this.#waiting.set(key, others); // at the end
      this.#size--;
      return first;
    }
    return undefined;
  }

  /** If too many wait, takes the newest item of the key with the most; in a tie, of the one whose turn comes last. */
  takeExcess(): T | undefined {
    if (this.#size <= this.#limit) return undefined;
    let largest: [string, T[]] | undefined;
    for (const entry of this.#waiting) if (!largest || entry[1].length >= largest[1].length) largest = entry;
    const [key, items] = largest!;
    const item = items.at(-1)!;
    this.remove(key, item);
    return item;
  }

  /** Removes an item; returns whether it was waiting. */
  remove(key: string, item: T): boolean {
    const own = this.#waiting.get(key);
    const at = own?.indexOf(item) ?? -1;
    if (at < 0) return false;
    own!.splice(at, 1);
    if (own!.length === 0) this.#waiting.delete(key);
    this.#size--;
    return true;
  }

  /** Takes all items. */
  drain(): T[] {
    const all = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#size = 0;
    return all;
  }
}
