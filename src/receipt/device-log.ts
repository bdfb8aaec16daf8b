// On which devices an image was drawn: in a browser, networks may change places while they are at work (runtime/placement.web.ts).

import type { Device, Place } from "../runtime/backend.ts";
import type { ReceiptRequest } from "./receipt.ts";

export class DeviceLog {
  /** Where each network is. */
  readonly places = new Map<string, Place>();
  /** What networks have left, in order. */
  readonly #left: (readonly [network: string, device: Device])[] = [];

  readonly place = (network: string, place: Place): void => {
    const before = this.places.get(network)?.device;
    if (before !== undefined && before !== place.device) this.#left.push([network, before]);
    this.places.set(network, place);
  };

  /** A point in time, for `since`. */
  mark(): number {
    return this.#left.length;
  }

  /** Where the networks of such a call have been since then: "wasm", or "wasm+webgpu" where some were here and some there. */
  since(mark: number, call: ReceiptRequest["call"]): string {
    const others = call === "reconstruct" ? /^(vision encoder|language model)/ : /^(vision encoder|code embeddings)/;
    const now = Array.from(this.places, ([network, { device }]) => [network, device] as const);
    const used = [...now, ...this.#left.slice(mark)].filter(([network]) => !others.test(network));
    return [...new Set(used.map(([, device]) => device))].sort().join("+");
  }
}
