// The public API of a browser, which Node has too: import { Kelix } from "kelix".

export type {
  Chat,
  ChatEvent,
  ChatResult,
  EndEvent,
  FinishReason,
  ImageEvent,
  TextEvent,
  Usage,
} from "./chat/chat.ts";
export type { ChatMessage, WidenedMessage, WidenedPart } from "./chat/conversation.ts";
export type { TokenLogprob, TokenLogprobs } from "./chat/logprobs.ts";
export type { TokenScore } from "./chat/score.ts";
export {
  type ErrorCode,
  FetchError,
  InputError,
  KelixError,
  MemoryError,
  ModelError,
} from "./errors.ts";
export type { GivenFile } from "./files/memory.ts";
export { publicUrl, withoutSecrets } from "./files/safe-url.ts";
export type { PullProgress, PullWait } from "./files/transfer.ts";
export { Image, type RgbaBytes } from "./image/image.ts";
export type { ImageFormat } from "./image/image-format.ts";
export type { ImageInput } from "./image/image-input.ts";
export type { MaskInput } from "./image/mask.ts";
export type { RawImage, RgbImage } from "./image/rgb.ts";
export { Kelix } from "./kelix.ts";
export { DrawnImage, type DrawnUsage } from "./model/drawn-image.ts";
export type { ReadInput } from "./model/image-reader.ts";
export type { ModelInfo, PartInfo } from "./model/info.ts";
export type { LoadedModelInfo } from "./model/networks.ts";
export {
  type Call,
  type ChatOptions,
  type DescribeOptions,
  type DrawOptions,
  type EditOptions,
  type EmbedOptions,
  type ImagineOptions,
  type InspectOptions,
  type LoadOptions,
  optionsOf,
  type Progress,
  type PullOptions,
  type ReconstructOptions,
  type SampleOptions,
  type ScoreOptions,
  type TokenizeOptions,
  type WorkOptions,
} from "./options.ts";
export type { ModelSource } from "./platform.ts";
export type { NetworkPlace } from "./receipt/device-log.ts";
export { type Receipt, type ReceiptRequest, readReceipt } from "./receipt/receipt.ts";
export { type Replay, type Replayer, replay } from "./receipt/replay.ts";
export type { Device } from "./runtime/backend.ts";
export type { ContentPart, Role } from "./text/chat-template.ts";
export { type CodeFields, type CodesInput, ImageCodes } from "./vision/image-codes.ts";
