// Gathers what the sequences of a model want next into common runs: the weights are read once for all of them. Whoever writes
// (generate.ts) awaits its sequence and does not know of the others.
//
// A step has two halves, each one run or a few: first what is to be read, then what is to be scored or drawn. Sequences that
// began at different times so fall into step with each other. Between runs the event loop has its turn: that is when new
// sequences join, and aborted ones leave.

import { turnEventLoop } from "../runtime/event-loop.ts";
import { type BlockIds, slotsPerBlock } from "../sequence/layout.ts";
import { drawTogether, readTogether, scoreTogether } from "./batch.ts";
import { CacheArena, type CacheShape, mostSlots } from "./cache.ts";
import type { UnifiedQwen3Config } from "./config.ts";
import { candidateCount, type VisualDraw } from "./generation-graphs.ts";
import type { LanguageModel } from "./language-model.ts";
import type { Sequence } from "./sequence.ts";

/** Sequences of one run. Twice as many gain little more: their caches are then most of what is read. */
export const MOST_TOGETHER = 8;
/**
 * While others write, they wait for a piece of a prompt at each step: it may take about so long, and has this share of the usual blocks at
 * least. A small model reads whole prompts in that time, and its answers begin together.
 */
const [PIECE_MS, LEAST_SHARE] = [8, 1 / 4];
/** A run that something else held up says little about the next; clocks of browsers stand still for about so long. */
const [MOST_SLOWER, LEAST_MS] = [1.5, 0.1];
/**
 * All slots of an arena are as long as its longest, so those of up to 256, 1024, 4096, .. positions have arenas of their own. Of
 * more than two the one used last is given up: what is in it can be copied again.
 */
const [SHORT, LONGER] = [256, 4];
const MOST_ARENAS = 2;
/** Of all arenas. One then holds eight sequences of 432 positions of the released model, a question about an image each. */
const MOST_ARENA_BYTES = 2 ** 31;

/** What the working copies of keys and values take at most, unless said otherwise. */
export function usualArenaBytes({ num_layers, num_kv_heads, head_dim, max_seq_len }: UnifiedQwen3Config): number {
  const position = 2 * num_layers * num_kv_heads * head_dim * Float32Array.BYTES_PER_ELEMENT;
  return Math.min(MOST_TOGETHER * max_seq_len * position, MOST_ARENA_BYTES);
}

interface Request<T> {
  readonly sequence: Sequence;
  readonly resolve: (result: T) => void;
  readonly reject: (reason: unknown) => void;
}

interface ReadRequest extends Request<void> {
  /** What is left to read. */
  blocks: BlockIds;
  readonly blocksPerRun: number;
  readonly signal: AbortSignal | undefined;
}

interface ScoreRequest extends Request<Float32Array[]> {
  readonly count: number;
}

interface DrawRequest extends Request<Int32Array | undefined> {
  readonly draw: VisualDraw;
}

/** How many sequences of so many positions run together with the usual arenas. */
export function sequencesTogether(config: UnifiedQwen3Config, positions: number): number {
  return Math.min(MOST_TOGETHER, mostSlots(cacheShape(config), positions, usualArenaBytes(config) / MOST_ARENAS));
}

function cacheShape({ num_layers, num_kv_heads, head_dim }: UnifiedQwen3Config): CacheShape {
  return { layers: num_layers, heads: num_kv_heads, width: head_dim };
}

export class Scheduler {
  readonly #model: LanguageModel;
  readonly #shape: CacheShape;
  readonly #arenaBytes: number;
  /** By length class; the one used last comes last. */
  readonly #arenas = new Map<number, CacheArena>();
  #reads: ReadRequest[] = [];
  #scores: ScoreRequest[] = [];
  #draws: DrawRequest[] = [];
  #isRunning = false;
  /** What a block takes in runs that read several of a sequence. */
  #blockMs = Number.POSITIVE_INFINITY;
  /** Whose alone the last run was, when nobody else waited. */
  #alone: Sequence | undefined;

  /** Working copies of keys and values take up to `arenaBytes`, and more only for a single sequence. */
  constructor(model: LanguageModel, arenaBytes: number) {
    this.#model = model;
    this.#shape = cacheShape(model.config.qwen);
    this.#arenaBytes = arenaBytes;
  }

  /** Whether the last run was this sequence's alone, and nobody waits. */
  isAlone(sequence: Sequence): boolean {
    return this.#alone === sequence && this.#waiting === 0;
  }

  /** Memory of the working copies. */
  get bytes(): number {
    return [...this.#arenas.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Lets a sequence read blocks [S, N+1], in pieces of at most `blocksPerRun`. */
  async read(sequence: Sequence, blocks: BlockIds, blocksPerRun: number, signal?: AbortSignal): Promise<void> {
    if (blocks.length === 0) return;
    return this.#ask(sequence, (promise) => this.#reads.push({ sequence, blocks, blocksPerRun, signal, ...promise }));
  }

  /** See Sequence. */
  scoreText(sequence: Sequence, count: number): Promise<Float32Array[]> {
    return this.#ask(sequence, (promise) => this.#scores.push({ sequence, count, ...promise }));
  }

  /** See Sequence. */
  drawVisualBlock(sequence: Sequence, draw: VisualDraw): Promise<Int32Array | undefined> {
    return this.#ask(sequence, (promise) => this.#draws.push({ sequence, draw, ...promise }));
  }

  get #waiting(): number {
    return this.#reads.length + this.#scores.length + this.#draws.length;
  }

  #ask<T>(sequence: Sequence, add: (promise: Omit<Request<T>, "sequence">) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      add({ resolve, reject });
      if (this.#isRunning) return;
      if (this.#alone !== sequence) this.#alone = undefined; // others may begin in this very turn
      void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#isRunning = true;
    await this.#gather();
    while (this.#waiting > 0) {
      for (const group of this.#groupReads()) {
        await this.#read(group);
        await this.#gather(group.map(({ request }) => request)); // who has read now asks for what follows
      }
      const [scores, draws] = [this.#scores, this.#draws];
      this.#scores = [];
      this.#draws = [];
      for (const group of groups(scores, () => true, isFew)) {
        await answer(group, () => scoreTogether(this.#model, group));
        await this.#gather(group);
      }
      for (const group of groups(draws, (a, b) => this.#candidates(a) === this.#candidates(b), isFew)) {
        await answer(group, () => drawTogether(this.#model, group));
        await this.#gather(group);
      }
    }
    this.#isRunning = false;
  }

  /**
   * After a run: lets all others ask for what they want next. One who writes alone need not wait for that: each run begins in a
   * turn of its own, and whoever asks meanwhile is found after it.
   */
  async #gather(group: readonly { readonly sequence: Sequence }[] = []): Promise<void> {
    if (group.length > 0) this.#alone = group.length === 1 && this.#waiting === 0 ? group[0]!.sequence : undefined;
    if (!this.#alone) await turnEventLoop();
  }

  /** The runs of one step: everybody who reads a single block, and one piece of the prompts that wait longest. */
  #groupReads(): Piece[][] {
    if (this.#reads.some(({ signal }) => signal?.aborted)) {
      for (const { signal, reject } of this.#reads) if (signal?.aborted) reject(signal.reason);
      this.#reads = this.#reads.filter(({ signal }) => !signal?.aborted);
    }
    const pieces = this.#reads.map((request) => pieceOf(request, slotsPerBlock(this.#model.vocabulary)));
    if (pieces.length <= 1) return pieces.map((piece) => [shortened(piece, piece.request.blocksPerRun)]);
    for (const { request } of pieces) request.sequence.joinCompany();
    const [single, long] = [pieces.filter(({ blocks }) => blocks === 1), pieces.filter(({ blocks }) => blocks > 1)];
    const runs = groups(
      single,
      (a, b) => a.lengthClass === b.lengthClass,
      (group) => this.#fits(group),
    );
    const [first] = long;
    if (!first) return runs;
    const { blocksPerRun } = first.request;
    const least = Math.max(1, Math.floor(blocksPerRun * LEAST_SHARE));
    const most = single.length > 0 ? Math.min(Math.max(least, PIECE_MS / this.#blockMs), blocksPerRun) : blocksPerRun;
    const [oldest] = groups(
      long.map((piece) => shortened(piece, Math.floor(most))),
      (a, b) => a.lengthClass === b.lengthClass,
      (group) => this.#fits(group) && group.length * Math.max(...group.map(({ blocks }) => blocks)) <= most,
    );
    return [...runs, oldest!];
  }

  #candidates({ draw }: DrawRequest): number {
    return candidateCount(draw, this.#model.vocabulary);
  }

  #fits(group: readonly Piece[]): boolean {
    const longest = Math.max(...group.map(({ length }) => length));
    return isFew(group) && mostSlots(this.#shape, longest, this.#arenaBytes / MOST_ARENAS) >= group.length;
  }

  async #read(group: readonly Piece[]): Promise<void> {
    const slots = slotsPerBlock(this.#model.vocabulary);
    const readings = group.map(({ request: { sequence, blocks }, blocks: S }) => ({
      sequence,
      blocks: blocks.subarray(0, S * slots),
    }));
    let errors: readonly unknown[];
    const startMs = performance.now();
    try {
      errors = await readTogether(this.#model, this.#arena(group[0]!.lengthClass), readings);
    } catch (error) {
      errors = group.map(() => error);
    }
    const blocks = group.reduce((sum, { blocks }) => sum + blocks, 0);
    if (blocks > group.length)
      this.#blockMs = Math.min(Math.max(performance.now() - startMs, LEAST_MS) / blocks, MOST_SLOWER * this.#blockMs);
    for (const [i, { request, blocks: S }] of group.entries()) {
      request.blocks = errors[i] ? NOTHING : request.blocks.subarray(S * slots);
      if (errors[i]) request.reject(errors[i]);
      else if (request.blocks.length === 0) request.resolve();
    }
    if (this.#reads.some(({ blocks }) => blocks.length === 0))
      this.#reads = this.#reads.filter(({ blocks }) => blocks.length > 0);
  }

  #arena(lengthClass: number): CacheArena {
    const arena = this.#arenas.get(lengthClass) ?? new CacheArena(this.#shape, this.#arenaBytes / MOST_ARENAS);
    this.#arenas.delete(lengthClass);
    this.#arenas.set(lengthClass, arena);
    for (const old of [...this.#arenas.keys()].slice(0, -MOST_ARENAS)) this.#arenas.delete(old);
    return arena;
  }
}

/** Blocks that one run reads of a request. */
interface Piece {
  readonly request: ReadRequest;
  readonly blocks: number;
  /** Of the sequence before. */
  readonly length: number;
  readonly lengthClass: number;
}

const NOTHING: BlockIds = new Int32Array(0);

/** All that is left of a request. Its class is that of the length after it: a sequence has one arena while it reads its prompt. */
function pieceOf(request: ReadRequest, slots: number): Piece {
  const { length } = request.sequence;
  const blocks = request.blocks.length / slots;
  let lengthClass = 0;
  for (let most = SHORT; most < length + blocks; most *= LONGER) lengthClass++;
  return { request, blocks, length, lengthClass };
}

function shortened(piece: Piece, most: number): Piece {
  return piece.blocks <= most ? piece : { ...piece, blocks: most };
}

function isFew(group: readonly unknown[]): boolean {
  return group.length <= MOST_TOGETHER;
}

/** Parts of what waits, in order: each with the first that is left and those after it that are alike and fit beside it. */
function groups<T>(
  all: readonly T[],
  areAlike: (a: T, b: T) => boolean,
  fits: (group: readonly T[]) => boolean,
): T[][] {
  if (all.length <= 1) return all.map((item) => [item]);
  const found: T[][] = [];
  for (let left = [...all]; left.length > 0; ) {
    const group = left.slice(0, 1);
    for (const item of left.slice(1)) if (areAlike(group[0] as T, item) && fits([...group, item])) group.push(item);
    left = left.filter((item) => !group.includes(item));
    found.push(group);
  }
  return found;
}

/** Gives each request of a run its result, or all of them the error. */
async function answer<T>(group: readonly Request<T>[], run: () => Promise<readonly T[]>): Promise<void> {
  try {
    const results = await run();
    for (const [i, { resolve }] of group.entries()) resolve(results[i]!);
  } catch (error) {
    for (const { reject } of group) reject(error);
  }
}
