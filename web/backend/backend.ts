// What the page asks of a model, wherever it runs. Two drivers: worker-backend.ts (this browser) and server-backend.ts (HTTP).

/** Codes of an image as the page keeps them: [rows, columns] and N codes for each position in raster order. */
export interface Codes {
  readonly grid: readonly [rows: number, columns: number];
  readonly codes: readonly number[];
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/** An image as the page keeps it: a file's bytes, and what is known of it. IndexedDB stores it as it is. */
export interface PageImage {
  readonly blob: Blob;
  readonly codes?: Codes;
  /** Of an image that the model drew. */
  readonly seed?: number;
  readonly prompt?: string;
}

export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: PageImage };

export interface Message {
  readonly role: "user" | "assistant";
  readonly content: readonly Part[];
}

/** What a user may set; what is absent is as the model says. */
export interface Sampling {
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly maxNewTokens?: number;
  readonly seed?: number;
  readonly steps?: number;
  readonly guidance?: number;
}

export type DrawPiece =
  | { readonly type: "preview"; readonly blob: Blob }
  | { readonly type: "image"; readonly image: PageImage };

export type ChatPiece =
  | { readonly type: "text"; readonly text: string }
  | DrawPiece
  | { readonly type: "end"; readonly finishReason: string; readonly tokens: number };

/** How much less likely each token of an answer is when one position of the image is blank; rows are positions. */
export interface Occlusion {
  readonly tokens: readonly string[];
  /** [positions][tokens], in nats; above 0 where the position spoke for the token. */
  readonly drops: readonly (readonly number[])[];
}

export interface Facts {
  readonly name: string;
  readonly canChat: boolean;
  readonly canImagine: boolean;
  readonly canReconstruct: boolean;
  readonly codebooks: number;
  readonly codesPerBook: number;
  /** What the model says where a setting is absent, as far as it is known. */
  readonly defaults: Sampling;
}

/** Bytes of the model's files that are here. */
export interface LoadProgress {
  readonly done: number;
  readonly total: number;
}

export interface Backend {
  readonly place: "browser" | "server";
  /** Loads the model, or asks the server for it. Safe to call twice. */
  open(): Promise<Facts>;
  chat(messages: readonly Message[], sampling: Sampling, signal: AbortSignal): AsyncIterable<ChatPiece>;
  imagine(prompt: string, sampling: Sampling, signal: AbortSignal): AsyncIterable<DrawPiece>;
  /** `mask` has a value for each position, true where to rewrite. */
  edit(
    image: PageImage,
    prompt: string,
    mask: readonly boolean[] | undefined,
    sampling: Sampling,
    signal: AbortSignal,
  ): AsyncIterable<DrawPiece>;
  tokenize(image: PageImage, signal?: AbortSignal): Promise<Codes>;
  reconstruct(codes: Codes, sampling: Sampling, signal?: AbortSignal): Promise<PageImage>;
  embed(image: PageImage, signal?: AbortSignal): Promise<Float32Array>;
  /** Absent where it cannot be asked for. */
  occlude?(codes: Codes, question: string, answer: string, signal?: AbortSignal): Promise<Occlusion>;
  close(): void;
}

/** An error with a stable code, as the library and the server give them; the message may be shown. */
export class BackendError extends Error {
  override readonly name = "BackendError";
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}
