// A queue between callbacks and a loop: what is added is read in order, and an end or an error ends the loop.

export class Pieces<T> implements AsyncIterable<T> {
  readonly #ready: T[] = [];
  #ended: { readonly error?: unknown } | undefined;
  #wake: () => void = () => undefined;

  add(piece: T): void {
    this.#ready.push(piece);
    this.#wake();
  }

  end(): void {
    this.#ended ??= {};
    this.#wake();
  }

  fail(error: unknown): void {
    this.#ended ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      for (let piece = this.#ready.shift(); piece !== undefined; piece = this.#ready.shift()) yield piece;
      if (this.#ended) {
        if ("error" in this.#ended) throw this.#ended.error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
