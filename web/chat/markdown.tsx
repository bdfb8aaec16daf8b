// What the model writes, as elements: marked tells the parts of a text apart, and each becomes an element here. HTML in it stays text, links
// go only to the web, images are not fetched: nothing that a model writes can act.

import { marked, type Token, type Tokens } from "marked";
import type { ComponentChild } from "preact";
import { useState } from "preact/hooks";

export function Markdown({ text }: { readonly text: string }) {
  return <div class="markdown">{blocks(marked.lexer(text))}</div>;
}

function blocks(tokens: readonly Token[] | undefined): ComponentChild[] {
  return (tokens ?? []).map((token, i) => <Block key={i} token={token as Tokens.Generic} />);
}

function Block({ token }: { readonly token: Tokens.Generic }): ComponentChild {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading": {
      const Heading = `h${Math.min(6, token.depth + 2)}` as "h3"; // below those of the page
      return <Heading>{inline(token.tokens)}</Heading>;
    }
    case "paragraph":
      return <p>{inline(token.tokens)}</p>;
    case "code":
      return <Code text={token.text} language={token.lang} />;
    case "blockquote":
      return <blockquote>{blocks(token.tokens)}</blockquote>;
    case "hr":
      return <hr />;
    case "list":
      return <List list={token as Tokens.List} />;
    case "table":
      return <Table table={token as Tokens.Table} />;
    case "text":
      return token.tokens ? inline(token.tokens) : token.text;
    default:
      return <p>{token.raw}</p>;
  }
}

function List({ list: { ordered, start, items } }: { readonly list: Tokens.List }) {
  const entries = items.map((item, i) => <li key={i}>{blocks(item.tokens)}</li>);
  return ordered ? <ol start={Number(start) || 1}>{entries}</ol> : <ul>{entries}</ul>;
}

function Table({ table: { header, rows } }: { readonly table: Tokens.Table }) {
  return (
    <table>
      <thead>
        <tr>
          {header.map(({ tokens }, i) => (
            <th key={i}>{inline(tokens)}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, i) => (
          <tr key={i}>
            {row.map(({ tokens }, k) => (
              <td key={k}>{inline(tokens)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function inline(tokens: readonly Token[] | undefined): ComponentChild[] {
  return (tokens ?? []).map((token, i) => <Inline key={i} token={token as Tokens.Generic} />);
}

function Inline({ token }: { readonly token: Tokens.Generic }): ComponentChild {
  switch (token.type) {
    case "text":
      return token.tokens ? inline(token.tokens) : token.text;
    case "escape":
      return token.text;
    case "strong":
      return <strong>{inline(token.tokens)}</strong>;
    case "em":
      return <em>{inline(token.tokens)}</em>;
    case "del":
      return <del>{inline(token.tokens)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "link":
      return isWeb(token.href) ? (
        <a href={token.href} rel="noreferrer noopener" target="_blank">
          {inline(token.tokens)}
        </a>
      ) : (
        token.raw
      );
    default:
      return token.raw;
  }
}

/** Whether an address is one of the web; javascript: and data: are not. */
export function isWeb(href: string): boolean {
  return URL.canParse(href) && /^(https?|mailto):$/.test(new URL(href).protocol);
}

function Code({ text, language }: { readonly text: string; readonly language?: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <figure class="code">
      <figcaption>
        <span>{language || "text"}</span>
        {navigator.clipboard && (
          <button type="button" class="quiet" onClick={() => void copy()}>
            {isCopied ? "Copied" : "Copy"}
          </button>
        )}
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also with the keyboard */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
