// The public API: import { Kelix } from "kelix".

export { CheckpointError } from "./checkpoint/checkpoint-error.ts";
export { encodePng, writePng } from "./image/codec.node.ts";
export { ImageError, type ImageInput, type Picture, type RawImage } from "./image/picture.ts";
export {
  type ChatMessage,
  type ChatOptions,
  type ChatPiece,
  type DrawOptions,
  type ImagineOptions,
  Kelix,
  type LoadOptions,
  type ModelInfo,
  type Progress,
  type SampleOptions,
  type WorkOptions,
} from "./kelix.ts";
export type { Device } from "./runtime/session.ts";
export type { ContentPart, Role } from "./text/chat-template.ts";
export type { ImageCodes } from "./vision/picture-tokenizer.ts";
