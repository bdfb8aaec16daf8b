// What every command shares: the model to load, the abort on Ctrl-C, progress on stderr, and numbers read from options.

import { InvalidArgumentError } from "commander";
import { type Device, Kelix, type LoadOptions, type Progress, type PullProgress, type PullWait } from "../index.ts";
import { devices } from "../runtime/backend.ts";
import { withoutSecrets } from "../safe-url.ts";
import { Transfer } from "./transfer.ts";

export interface GlobalOptions {
  readonly model?: string;
  readonly dit?: readonly string[];
  readonly vae?: string;
  readonly ignoreMemory?: boolean;
  readonly device?: Device;
  readonly threads?: number;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** Aborts at Ctrl-C; main.ts then ends with status 130. */
export const interrupted = new AbortController();

/** Loads the model that the options name, hands it to `use`, and frees it whatever happens. */
export async function withModel<T>(globals: GlobalOptions, use: (kelix: Kelix) => Promise<T>): Promise<T> {
  const { model, device, threads, ignoreMemory } = globals;
  const onTransfer = showTransfer();
  const kelix = await Kelix.load(model, {
    ...partFolders(globals),
    ...(device && { device }),
    ...(threads && { threads }),
    ...(ignoreMemory && { ignoreMemory }),
    signal: interrupted.signal,
    onWarning: (message) => complain(`warning: ${message}`),
    onProgress: ({ task, done, total }) => {
      if (task === "fetch") onTransfer({ doneBytes: done, totalBytes: total });
    },
  });
  try {
    return await use(kelix);
  } finally {
    await kelix.dispose();
  }
}

/** Where --dit and --vae say that parts of the model lie. */
export function partFolders({ dit, vae }: GlobalOptions): Pick<LoadOptions, "detokenizer" | "autoencoder"> {
  return { ...(dit && { detokenizer: dit }), ...(vae && { autoencoder: vae }) };
}

/** Overwrites one line of a terminal's stderr; prints nothing elsewhere. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Progress of drawing as a line. */
export function onProgress({ task, done, total }: Progress): void {
  showProgress(done === total ? "" : `${taskNames[task]} ${done}/${total}`);
}

const taskNames: Readonly<Record<Progress["task"], string>> = {
  fetch: "fetching",
  load: "loading",
  write: "writing codes",
  draw: "drawing",
  decode: "decoding",
};

const REDRAW_MS = 100;

/** Shows a transfer on a terminal's stderr, ten times a second at most; the line goes when all is there. */
export function showTransfer(): (progress: PullProgress) => void {
  const transfer = new Transfer();
  let shownMs = Number.NEGATIVE_INFINITY;
  return (progress) => {
    if (progress.doneBytes === progress.totalBytes) {
      showProgress("");
      return;
    }
    if (performance.now() - shownMs < REDRAW_MS) return;
    shownMs = performance.now();
    showProgress(`fetching ${transfer.line(progress)}`);
  };
}

/** Why a fetch stands still; also without a terminal, where it would look like a hang. */
export function showWait({ message }: PullWait): void {
  complain(`waiting: ${message}`);
}

/** A line of news on a terminal's stderr. */
export function note(text: string): void {
  showProgress(text);
  if (process.stderr.isTTY) process.stderr.write("\n");
}

/** What went wrong, on one line of stderr whatever that is. */
export function complain(text: string): void {
  showProgress("");
  process.stderr.write(
    `kelix: ${printable(
      withoutSecrets(text)
        .trim()
        .replace(/:?\s*\n\s*/g, "; "),
    )}\n`,
  );
}

/** Text in which names from files may stand: characters that would steer a terminal, or begin a line, are spelled out. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** "a.png", 2 -> "a-2.png" */
export function numbered(file: string, i: number): string {
  return file.replace(/(\.\w+)?$/, `-${i}$1`);
}

/** The one value that --json prints. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Parser of a whole number between two limits. */
export function integer(from: number, to: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isInteger(value) || value < from || value > to)
      throw new InvalidArgumentError(`Expected an integer from ${from} to ${to}, got ${text}`);
    return value;
  };
}

/** Parser of a number between two limits. */
export function decimal(from: number, to: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= from && value <= to))
      throw new InvalidArgumentError(`Expected a number from ${from} to ${to}, got ${text}`);
    return value;
  };
}

/** Parser of an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

/** Parser of --device. */
export function deviceName(text: string): Device {
  const device = devices.find((name) => name === text);
  if (!device) throw new InvalidArgumentError(`Expected one of ${devices.join(", ")}, got ${text}`);
  return device;
}

export const parseSeed = integer(0, Number.MAX_SAFE_INTEGER);
