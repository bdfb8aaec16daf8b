// The public API of a browser, which Node has too: import { Kelix } from "kelix".

export type { ChatMessage, WidenedMessage, WidenedPart } from "./conversation.ts";
export {
  type ErrorCode,
  FetchError,
  InputError,
  KelixError,
  MemoryError,
  ModelError,
} from "./errors.ts";
export type { GivenFile } from "./files/memory.ts";
export type { PullProgress, PullWait } from "./hub/fetch-files.ts";
export type { ImageFormat } from "./image/image-format.ts";
export type { ImageInput } from "./image/image-input.ts";
export type { RawImage, RgbImage } from "./image/rgb.ts";
export { type ChatPiece, type DrawnImage, Kelix } from "./kelix.ts";
export type { ModelInfo, PartInfo } from "./model/info.ts";
export type {
  ChatOptions,
  DrawOptions,
  ImagineOptions,
  InspectOptions,
  LoadOptions,
  Progress,
  PullOptions,
  ReconstructOptions,
  SampleOptions,
  TokenizeOptions,
  WorkOptions,
} from "./options.ts";
export type { ModelSource } from "./platform.ts";
export type { Device } from "./runtime/backend.ts";
export type { ContentPart, Role } from "./text/chat-template.ts";
export { type CodeFields, type CodesInput, ImageCodes } from "./vision/image-codes.ts";
