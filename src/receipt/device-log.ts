// Where a model's networks run, and on which devices an image was drawn: in a browser, networks may change places while they are at
// work (runtime/placement.web.ts).

import type { Device, Place } from "../runtime/backend.ts";
import type { ReceiptRequest } from "./receipt.ts";

/** Where one network of the model runs: "vision encoder", "language model: trunk". */
export interface NetworkPlace extends Place {
  readonly network: string;
}

export class DeviceLog {
  readonly #places = new Map<string, NetworkPlace>();
  /** What networks have left, in order. */
  readonly #left: NetworkPlace[] = [];

  readonly place = (network: string, place: Place): void => {
    const before = this.#places.get(network);
    if (before && before.device !== place.device) this.#left.push(before);
    this.#places.set(network, { network, ...place });
  };

  /** Of the networks that were opened so far. */
  get places(): NetworkPlace[] {
    return [...this.#places.values()];
  }

  /** A point in time, for `since`. */
  mark(): number {
    return this.#left.length;
  }

  /** Where the networks of such a call have been since then: "wasm", or "wasm+webgpu" where some were here and some there. */
  since(mark: number, call: ReceiptRequest["call"]): string {
    const others = call === "reconstruct" ? /^(vision encoder|language model)/ : /^(vision encoder|code embeddings)/;
    const used = [...this.places, ...this.#left.slice(mark)].filter(({ network }) => !others.test(network));
    return [...new Set<Device>(used.map(({ device }) => device))].sort().join("+");
  }
}
