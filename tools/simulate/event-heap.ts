// Events in the order of their times: a binary heap.

export class EventHeap<T> {
  readonly #entries: { readonly at: number; readonly event: T }[] = [];

  push(at: number, event: T): void {
    const entries = this.#entries;
    const entry = { at, event };
    let place = entries.push(entry) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (entries[parent]!.at <= at) break;
      entries[place] = entries[parent]!;
      place = parent;
    }
    entries[place] = entry;
  }

  /** Takes the earliest event; undefined when there is none. */
  pop(): { readonly at: number; readonly event: T } | undefined {
    const entries = this.#entries;
    const first = entries[0];
    const last = entries.pop();
    if (entries.length === 0 || last === undefined) return first;
    let place = 0;
    while (true) {
      let child = 2 * place + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && entries[child + 1]!.at < entries[child]!.at) child++;
      if (entries[child]!.at >= last.at) break;
      entries[place] = entries[child]!;
      place = child;
    }
    entries[place] = last;
    return first;
  }
}
