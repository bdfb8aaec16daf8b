// The conversation that is open, and the answer that is being written to it.

import { computed, signal } from "@preact/signals";
import { backend, sampling } from "../app/model.ts";
import { announcement, complain, explain, isAbort } from "../app/notices.ts";
import type { PageImage, Part } from "../backend/backend.ts";
import {
  appended,
  type Conversation,
  type Node,
  newConversation,
  newId,
  pathOf,
  showing,
  textOf,
  withNode,
} from "./conversation.ts";
import { deleteConversation, keepConversation, readConversations } from "./history.ts";

export const conversations = signal<readonly Conversation[]>([]);
export const current = signal<Conversation>(newConversation());
export const path = computed(() => pathOf(current.value));

/** The answer as far as it has come. */
export interface LiveAnswer {
  /** Of its node, and of the conversation that it belongs to. */
  readonly id: string;
  readonly conversation: string;
  readonly content: readonly Part[];
  /** The image that is being drawn, as it looks on the way. */
  readonly preview?: Blob | undefined;
}
export const live = signal<LiveAnswer | undefined>(undefined);
let controller: AbortController | undefined;

export function stop(): void {
  controller?.abort(new DOMException("Stopped", "AbortError"));
}

/** Reads what earlier visits have kept. A browser without storage has none. */
export async function openHistory(): Promise<void> {
  try {
    const read = await readConversations();
    const begun = conversations.value; // before history was read
    conversations.value = [...begun, ...read.filter(({ id }) => begun.every((own) => own.id !== id))];
  } catch (error) {
    complain(
      new Error(`Conversations cannot be kept in this browser (${(error as Error).message}): export what matters.`),
    );
  }
}

export function startNew(): void {
  stop();
  current.value = newConversation();
}

export function openConversation(conversation: Conversation): void {
  if (conversation.id === current.value.id) return;
  stop();
  current.value = conversation;
}

export async function removeConversation({ id }: Conversation): Promise<void> {
  if (current.value.id === id) startNew();
  conversations.value = conversations.value.filter((own) => own.id !== id);
  await deleteConversation(id).catch(complain);
}

/** Shows a new state of a conversation, and keeps it. */
export async function keep(conversation: Conversation): Promise<void> {
  if (current.value.id === conversation.id) current.value = conversation;
  conversations.value = [conversation, ...conversations.value.filter(({ id }) => id !== conversation.id)];
  await keepConversation(conversation).catch(complain);
}

/** Says something after the leaf, or as a branch beside the message `instead`, and has it answered. */
export async function say(text: string, images: readonly PageImage[], instead?: Node): Promise<void> {
  const own: Part[] = images.map((image) => ({ type: "image", image }));
  if (text !== "") own.push({ type: "text", text });
  const parent = instead ? instead.parent : current.value.leaf;
  const question: Node = { id: newId(), parent, role: "user", content: own };
  await keep(withNode(current.value, question));
  await answer(question);
}

/** Answers a question again, as a branch beside the answer that it has. With the same seed it would be the same: the next one is taken. */
export async function regenerate(old: Node): Promise<void> {
  const question = current.value.nodes.find(({ id }) => id === old.parent);
  if (!question) return;
  const times = current.value.nodes.filter(({ parent }) => parent === question.id).length;
  await answer(question, times);
}

export function showBranch(node: Node): void {
  void keep(showing(current.value, node.id));
}

async function answer(question: Node, again = 0): Promise<void> {
  stop();
  const own = new AbortController();
  controller = own;
  const conversation = current.value.id;
  const before = pathOf({ ...current.value, leaf: question.id });
  // An answer that was stopped or failed at its beginning says nothing.
  const messages = before.flatMap(({ role, content }) => (content.length > 0 ? [{ role, content }] : []));
  const { seed = 0, temperature, ...rest } = sampling.value;
  // The likeliest text is the same for every seed.
  const varied = { ...rest, temperature: again > 0 ? (temperature ?? 0.7) : temperature, seed: seed + again };
  const id = newId();
  live.value = { id, conversation, content: [] };
  const began = performance.now();
  let [first, tokens, cut] = [0, 0, undefined as Node["cut"]];
  try {
    for await (const piece of backend.value.chat(messages, varied, own.signal)) {
      first ||= performance.now();
      const content: readonly Part[] = live.value!.content;
      if (piece.type === "preview") live.value = { id, conversation, content, preview: piece.blob };
      else if (piece.type === "end") {
        tokens = piece.tokens;
        if (piece.finishReason === "length") cut = "length";
      } else live.value = { id, conversation, content: appended(content, piece) };
      if (live.value?.id !== id) break;
    }
  } catch (error) {
    cut = isAbort(error) ? "stopped" : { error: explain(error) };
  }
  const { content } = live.value?.id === id ? live.value : { content: [] };
  const ended = performance.now();
  const timing = { firstMs: (first || ended) - began, totalMs: ended - began, tokens };
  const node: Node = { id, parent: question.id, role: "assistant", content, timing, cut };
  const state = conversations.value.find((one) => one.id === conversation);
  if (state) await keep(withNode(state, node));
  if (live.value?.id === id) live.value = undefined;
  if (controller === own) controller = undefined;
  const said = textOf(node) || "an image";
  announcement.value =
    cut === undefined || cut === "length" ? `Answer: ${said}` : cut === "stopped" ? "Stopped" : cut.error;
}
