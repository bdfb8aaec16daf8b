// Continues an answer whose replica died. The request runs again from its beginning; the part that the reader already has is compared with
// the new events and skipped. No reader gets a second half that does not match the first.

import type { EngineEvent } from "../protocol.ts";

/** The new events differ from those already sent. */
export class AnswerDiffers extends Error {
  override readonly name = "AnswerDiffers";
}

type Event<T extends EngineEvent["type"]> = Extract<EngineEvent, { readonly type: T }>;
type Piece = { readonly type: "text"; text: string } | Event<"image"> | Event<"codes"> | Event<"vector">;

export class Sent {
  /** Events sent earlier that have not been produced again yet, with texts joined. */
  readonly #pieces: Piece[] = [];
  #tokens = 0;
  #previews = 0;

  constructor(events: readonly EngineEvent[]) {
    for (const event of events) {
      const last = this.#pieces.at(-1);
      if (event.type === "preview") this.#previews = Math.max(this.#previews, event.index + 1);
      else if (event.type === "text") {
        this.#tokens += event.logprobs?.length ?? 0;
        if (last?.type === "text") last.text += event.text;
        else if (event.text !== "") this.#pieces.push({ type: "text", text: event.text });
      } else if (event.type !== "end") this.#pieces.push(event);
    }
  }

  /** The part of an event that was not sent yet; undefined if all of it was. Throws an AnswerDiffers. */
  rest(event: EngineEvent): EngineEvent | undefined {
    if (event.type === "preview") return event.index < this.#previews ? undefined : event;
    if (event.type === "text") return this.#restOfText(event);
    const sent = this.#pieces.shift();
    if (!sent) return event;
    if (sent.type !== event.type || !isSame(sent, event)) throw new AnswerDiffers();
    return undefined;
  }

  #restOfText(event: Event<"text">): EngineEvent | undefined {
    const given = event.logprobs?.slice(this.#tokens);
    this.#tokens -= (event.logprobs?.length ?? 0) - (given?.length ?? 0);
    const sent = this.#pieces[0];
    let { text } = event;
    if (sent) {
      if (text !== "" && sent.type !== "text") throw new AnswerDiffers();
      if (sent.type === "text") {
        const both = Math.min(sent.text.length, text.length);
        if (sent.text.slice(0, both) !== text.slice(0, both)) throw new AnswerDiffers();
        text = text.slice(both);
        sent.text = sent.text.slice(both);
        if (sent.text === "") this.#pieces.shift();
        // Other events were sent before the rest of this text, so the order differs.
        if (text !== "" && this.#pieces.length > 0) throw new AnswerDiffers();
      }
    }
    if (text === "" && !given?.length) return undefined;
    return { type: "text", text, ...(given && { logprobs: given }) };
  }
}

/** Pixels may differ in their last bits if other requests ran at the same time; codes and seed identify the image. */
function isSame(sent: EngineEvent, event: EngineEvent): boolean {
  if (sent.type === "image" && event.type === "image" && sent.seed !== event.seed) return false;
  if (!("codes" in sent && "codes" in event)) return true;
  const [before, now] = [sent.codes.codes, event.codes.codes];
  return before.length === now.length && before.every((code, i) => code === now[i]);
}
