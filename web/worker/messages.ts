// What the page and the worker say to each other. Everything can be cloned; images travel as blobs, an abort by the call's id.

import type {
  ChatPiece,
  Codes,
  DrawPiece,
  Facts,
  LoadProgress,
  Message,
  PageImage,
  Sampling,
} from "../backend/backend.ts";

export interface ModelSettings {
  /** The URL of a folder with a files.json, or owner/name of the Hub. */
  readonly model: string;
  /** Where each network is faster, if absent. */
  readonly device?: "wasm" | "webgpu" | undefined;
  readonly threads: number;
}

/** One call for each name: what it takes, and what it gives in the end. */
export interface Calls {
  open: { readonly takes: ModelSettings; readonly gives: Facts };
  chat: {
    readonly takes: { readonly messages: readonly Message[]; readonly sampling: Sampling };
    readonly gives: undefined;
  };
  imagine: { readonly takes: { readonly prompt: string; readonly sampling: Sampling }; readonly gives: undefined };
  edit: {
    readonly takes: {
      readonly image: PageImage;
      readonly prompt: string;
      readonly mask?: readonly boolean[] | undefined;
      readonly sampling: Sampling;
    };
    readonly gives: undefined;
  };
  tokenize: { readonly takes: { readonly image: PageImage }; readonly gives: Codes };
  reconstruct: { readonly takes: { readonly codes: Codes; readonly sampling: Sampling }; readonly gives: PageImage };
  embed: { readonly takes: { readonly image: PageImage }; readonly gives: Float32Array };
  occlude: {
    readonly takes: { readonly codes: Codes; readonly question: string; readonly answer: string };
    readonly gives: { readonly tokens: readonly string[]; readonly drops: readonly (readonly number[])[] };
  };
}

export type CallName = keyof Calls;

export type ToWorker =
  | { readonly id: number; readonly call: CallName; readonly takes: Calls[CallName]["takes"] }
  | { readonly id: number; readonly abort: true };

export type FromWorker =
  | { readonly id: number; readonly piece: ChatPiece | DrawPiece }
  | { readonly id: number; readonly gives: Calls[CallName]["gives"] }
  | { readonly id: number; readonly error: { readonly message: string; readonly code: string } }
  | { readonly progress: LoadProgress };
