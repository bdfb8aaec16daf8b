// Server-sent events whose data is JSON, as OpenAI's API sends them.

const DONE = "[DONE]";

/** The data of each event, until the last. Leaving the loop cancels the answer. Throws what fetch throws, and for what is not JSON. */
export async function* readEvents(response: Response): AsyncGenerator<unknown, void, void> {
  if (!response.body) return;
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let waiting = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (waiting + value).split(/\r?\n/);
      waiting = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice("data:".length).trimStart());
        if (line !== "" || data.length === 0) continue;
        const text = data.join("\n");
        data = [];
        if (text === DONE) return;
        yield JSON.parse(text);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
