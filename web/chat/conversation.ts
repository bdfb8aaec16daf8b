// A conversation as a tree: editing a question, or answering it again, adds a branch beside the old one. What is shown, and what the
// model reads, is the path from the root to the leaf.

import type { Message, PageImage, Part } from "../backend/backend.ts";

export interface Node extends Message {
  readonly id: string;
  /** Absent for the first message. */
  readonly parent?: string | undefined;
  /** Of an answer. */
  readonly timing?: Timing | undefined;
  /** Why the answer is not whole: it was stopped, cut at its longest, or failed with this sentence. */
  readonly cut?: "stopped" | "length" | { readonly error: string } | undefined;
}

export interface Timing {
  /** From the question to the first piece, and to the last, in ms. */
  readonly firstMs: number;
  readonly totalMs: number;
  /** Tokens of text, and a position of an image each. */
  readonly tokens: number;
}

export interface Conversation {
  readonly id: string;
  readonly title: string;
  /** In ms since 1970. */
  readonly updated: number;
  readonly nodes: readonly Node[];
  /** The end of the path that is shown; absent where nothing was said. */
  readonly leaf?: string | undefined;
}

export function newConversation(): Conversation {
  return { id: newId(), title: "New conversation", updated: Date.now(), nodes: [] };
}

export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** From the first message to the leaf. */
export function pathOf({ nodes, leaf }: Conversation): Node[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const path: Node[] = [];
  for (let node = byId.get(leaf ?? ""); node; node = byId.get(node.parent ?? "")) path.unshift(node);
  return path;
}

/** The messages beside a node, itself among them, in the order they were made. */
export function siblings({ nodes }: Conversation, { parent }: Node): Node[] {
  return nodes.filter((node) => node.parent === parent);
}

/** Adds a node, or puts it in the place of the one with its id, and shows the path to it. */
export function withNode(conversation: Conversation, node: Node): Conversation {
  const isKnown = conversation.nodes.some(({ id }) => id === node.id);
  const nodes = isKnown
    ? conversation.nodes.map((own) => (own.id === node.id ? node : own))
    : [...conversation.nodes, node];
  const title = conversation.nodes.length === 0 ? titleOf(node) : conversation.title;
  return { ...conversation, nodes, title, leaf: isKnown ? conversation.leaf : node.id, updated: Date.now() };
}

/** Shows the path through a node, to the newest message below it. */
export function showing(conversation: Conversation, id: string): Conversation {
  let leaf = id;
  for (;;) {
    const next = conversation.nodes.findLast(({ parent }) => parent === leaf);
    if (!next) return { ...conversation, leaf };
    leaf = next.id;
  }
}

export function textOf({ content }: Message): string {
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

export function imagesOf({ content }: Message): PageImage[] {
  return content.flatMap((part) => (part.type === "image" ? [part.image] : []));
}

function titleOf(node: Node): string {
  const text = textOf(node).trim().replace(/\s+/g, " ");
  if (text === "") return imagesOf(node).length > 0 ? "An image" : "New conversation";
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Pieces of text that follow one another become one part. */
export function appended(content: readonly Part[], part: Part): Part[] {
  const last = content.at(-1);
  if (part.type !== "text" || last?.type !== "text") return [...content, part];
  return [...content.slice(0, -1), { type: "text", text: last.text + part.text }];
}
