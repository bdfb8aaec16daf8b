// Conversations in IndexedDB, images as the blobs they are; as one JSON file for export and import.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Part } from "../backend/backend.ts";
import { dataUrl } from "../backend/image-data.ts";
import { type Conversation, type Node, newId, textOf } from "./conversation.ts";

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>("kelix", 1, {
    upgrade: (db) => void db.createObjectStore("conversations", { keyPath: "id" }),
  });
  return opened;
}

/** All conversations, the newest first. */
export async function readConversations(): Promise<Conversation[]> {
  const all = await (await database()).getAll("conversations");
  return all.sort((a, b) => b.updated - a.updated);
}

/** Rejects with a QuotaExceededError where the browser's storage is full. */
export async function keepConversation(conversation: Conversation): Promise<void> {
  await (await database()).put("conversations", conversation);
}

export async function deleteConversation(id: string): Promise<void> {
  await (await database()).delete("conversations", id);
}

/** Those that say a text anywhere, in any letter case. */
export function search(conversations: readonly Conversation[], text: string): Conversation[] {
  const wanted = text.trim().toLowerCase();
  const says = (own: string) => own.toLowerCase().includes(wanted);
  return conversations.filter(({ title, nodes }) => says(title) || nodes.some((node) => says(textOf(node))));
}

const FORMAT = "kelix-conversations";

/** Every conversation in one JSON file, with images as data: URLs. */
export async function exportFile(conversations: readonly Conversation[]): Promise<Blob> {
  const written = async (part: Part) =>
    part.type === "text" ? part : { type: "image", image: { ...part.image, blob: await dataUrl(part.image.blob) } };
  const own = conversations.map(async (conversation) => ({
    ...conversation,
    nodes: await Promise.all(
      conversation.nodes.map(async (node) => ({ ...node, content: await Promise.all(node.content.map(written)) })),
    ),
  }));
  const text = JSON.stringify({ format: FORMAT, version: 1, conversations: await Promise.all(own) });
  return new Blob([text], { type: "application/json" });
}

/** The conversations of such a file, under ids of their own. Throws a sentence for any other file. */
export async function importFile(file: Blob): Promise<Conversation[]> {
  const read = await file
    .text()
    .then(JSON.parse)
    .catch(() => undefined);
  if (read?.format !== FORMAT || !Array.isArray(read.conversations))
    throw new Error("This file holds no conversations: choose one that this page has exported.");
  try {
    return await Promise.all(read.conversations.map(readConversation));
  } catch {
    throw new Error("The file of conversations is damaged: export it again.");
  }
}

type Written = Omit<Conversation, "nodes"> & { readonly nodes: readonly WrittenNode[] };
type WrittenNode = Omit<Node, "content"> & { readonly content: readonly WrittenPart[] };
type WrittenPart =
  | { readonly type: "text"; readonly text: unknown }
  | { readonly type: "image"; readonly image: { readonly blob: unknown } & Record<string, unknown> };

async function readConversation({ title, updated, leaf, nodes }: Written): Promise<Conversation> {
  const content = async (part: WrittenPart): Promise<Part> => {
    if (part.type === "text") return { type: "text", text: String(part.text) };
    const url = String(part.image.blob);
    // Only bytes that stand in the file: an address would tell a stranger that it was opened.
    if (!/^data:image\/(png|jpeg|webp);base64,/.test(url)) throw new Error("no image");
    return { type: "image", image: { ...part.image, blob: await (await fetch(url)).blob() } };
  };
  const own = nodes.map(async (node) => ({
    id: String(node.id),
    parent: node.parent === undefined ? undefined : String(node.parent),
    role: node.role === "assistant" ? ("assistant" as const) : ("user" as const),
    content: await Promise.all(node.content.map(content)),
    ...(typeof node.timing?.totalMs === "number" && { timing: node.timing }),
  }));
  return {
    id: newId(),
    title: String(title),
    updated: Number(updated) || Date.now(),
    leaf: leaf && String(leaf),
    nodes: await Promise.all(own),
  };
}
