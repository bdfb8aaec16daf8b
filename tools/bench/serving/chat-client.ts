// A client of /v1/chat/completions that costs little, so that what is measured is the server: it looks for pieces of text in the
// stream and parses nothing.

import { Agent, request } from "node:http";

export interface StreamedAnswer {
  /** From the request to the first text. */
  readonly firstMs: number;
  /** Between texts. */
  readonly betweenMs: readonly number[];
}

export interface ChatRequest {
  readonly model: string;
  readonly content: string;
  /** Tokens that are forced. */
  readonly tokens: number;
}

export class ChatClient {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string) {
    this.#url = url;
  }

  /** Asks once and reads the answer to its end. Rejects where it is none. */
  ask({ model, content, tokens }: ChatRequest): Promise<StreamedAnswer> {
    const messages = [{ role: "user", content }];
    const limits = { max_tokens: tokens, min_tokens: tokens, temperature: 0 };
    const body = JSON.stringify({ model, messages, ...limits, stream: true });
    const startMs = performance.now();
    return new Promise((resolve, reject) => {
      const sent = request(
        `${this.#url}/v1/chat/completions`,
        { method: "POST", agent: this.#agent, headers: { "Content-Type": "application/json" } },
        (answer) => {
          const times: number[] = [];
          let end = "";
          answer.setEncoding("utf8");
          answer.on("data", (chunk: string) => {
            if (chunk.includes('"delta":{"content":"')) times.push(performance.now());
            end = (end + chunk).slice(-200);
          });
          answer.on("error", reject);
          answer.on("end", () => {
            if (answer.statusCode !== 200 || !end.includes("[DONE]") || times.length === 0)
              reject(new Error(`the server answered ${answer.statusCode}: ${end}`));
            else
              resolve({ firstMs: times[0]! - startMs, betweenMs: times.slice(1).map((time, i) => time - times[i]!) });
          });
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
