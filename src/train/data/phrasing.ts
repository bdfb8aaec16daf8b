// Many ways to ask one question: forms with the same meaning, and the varied spelling, case and punctuation of users.
// Each family's pattern matches the canonical question (scene-text.ts) and reuses its words.

import type { CounterRandom } from "../../random/counter.ts";

export const describeQuestions: readonly string[] = [
  "Describe the picture.",
  "What is this?",
  "What do you see?",
  "What does the picture show?",
  "Describe it.",
  "Describe this image.",
  "What is in the image?",
  "What can you see here?",
  "Tell me what this is.",
  "Caption this image.",
  "What is shown?",
  "Name what you see.",
];

interface Family {
  readonly pattern: RegExp;
  readonly forms: readonly string[];
  /** Used only if all objects are alike. */
  readonly whenAlike?: readonly string[];
}

const families: readonly Family[] = [
  {
    pattern: /^How many (?!shapes)(\w+) are there\?$/,
    forms: [
      "How many $1 do you see?",
      "How many $1 can you see?",
      "How many $1 are in the image?",
      "How many $1 does the picture show?",
      "Count the $1.",
      "What is the number of $1?",
      "Tell me how many $1 there are.",
      "How many $1 are shown?",
    ],
    whenAlike: ["How many shapes are there?", "How many objects are there?", "How many shapes do you see?"],
  },
  {
    pattern: /^How many (\w+) shapes are there\?$/,
    forms: [
      "How many $1 shapes do you see?",
      "How many $1 shapes are in the picture?",
      "Count the $1 shapes.",
      "What is the number of $1 shapes?",
      "How many shapes are $1?",
      "How many of the shapes are $1?",
      "How many $1 objects are there?",
      "Tell me the number of $1 shapes.",
    ],
  },
  {
    pattern: /^What colour (is|are) the (\w+)\?$/,
    forms: [
      "Which colour $1 the $2?",
      "What is the colour of the $2?",
      "Tell me the colour of the $2.",
      "Name the colour of the $2.",
      "What colour $1 the $2 drawn in?",
      "Which colour do you see on the $2?",
      "The $2: what colour?",
      "What colour would you say the $2 $1?",
    ],
    whenAlike: ["What colour is it?", "What colour is the shape?", "Which colour is shown?", "What is the colour?"],
  },
  {
    pattern: /^What shape is it\?$/,
    forms: [
      "Which shape is it?",
      "What shape is this?",
      "Which shape is shown?",
      "Which shape do you see?",
      "Name the shape.",
      "What is the shape?",
      "What kind of shape is it?",
      "What shape is in the picture?",
      "Which shape is there?",
    ],
  },
  {
    pattern: /^What shape are they\?$/,
    forms: [
      "Which shape are they?",
      "What shapes are these?",
      "Which shapes are shown?",
      "Which shapes do you see?",
      "Name the shapes.",
      "What are the shapes?",
      "What kind of shapes are they?",
      "What shapes are in the picture?",
    ],
  },
  {
    pattern: /^What size (is|are) the (\w+)\?$/,
    forms: [
      "How big $1 the $2?",
      "How large $1 the $2?",
      "What is the size of the $2?",
      "Tell me the size of the $2.",
      "Which size $1 the $2?",
      "Name the size of the $2.",
      "$1 the $2 small or large?",
      "$1 the $2 large or small?",
    ],
    whenAlike: ["How big is it?", "Is it small or large?"],
  },
  {
    pattern: /^What shape is the (\w+) one\?$/,
    forms: [
      "Which shape is the $1 one?",
      "What shape is $1?",
      "Which shape is $1?",
      "What is the shape of the $1 one?",
      "What shape is the $1 object?",
      "Name the $1 shape.",
      "Tell me the shape of the $1 one.",
      "What is the $1 shape?",
    ],
  },
  {
    pattern: /^What is (on the left|on the right|at the top|at the bottom)\?$/,
    forms: [
      "What do you see $1?",
      "What can you see $1?",
      "What is shown $1?",
      "Which object is $1?",
      "What lies $1?",
      "Tell me what is $1.",
      "Name what is $1.",
      "Describe what is $1.",
    ],
  },
  {
    pattern: /^Is there (an? .+)\?$/,
    forms: [
      "Do you see $1?",
      "Can you see $1?",
      "Does the picture show $1?",
      "Is $1 in the picture?",
      "Is $1 shown?",
      "Does the image contain $1?",
      "Is there $1 in the image?",
      "Is $1 there?",
    ],
  },
  {
    pattern: /^Which digit is this\?$/,
    forms: [
      "Which digit is it?",
      "What digit is this?",
      "Which number is written here?",
      "What number is this?",
      "Which digit do you see?",
      "Which digit is shown?",
      "Read the digit.",
      "Name the digit.",
      "What number does the image show?",
    ],
  },
  {
    pattern: /^Is this (.+)\?$/,
    forms: [
      "Is it $1?",
      "Does this show $1?",
      "Do you see $1?",
      "Does the picture show $1?",
      "Is $1 shown?",
      "Can you see $1?",
      "Would you call this $1?",
      "Is $1 in the image?",
    ],
  },
];

/** All forms of a canonical question, itself first. */
export function formsOf(question: string, isAlike = false): string[] {
  const family = families.find(({ pattern }) => pattern.test(question));
  if (!family) return [question];
  const forms = [...family.forms, ...(isAlike ? (family.whenAlike ?? []) : [])];
  return [question, ...forms.map((form) => capitalized(question.replace(family.pattern, form)))];
}

/** One of a question's forms, as a user might type it. */
export function ask(question: string, random: CounterRandom, isAlike = false): string {
  const draw = random.sequence();
  return asTyped(draw.pick(formsOf(question, isAlike)), random.fork("typed"));
}

/** Phrasings of a request for an image; `$` is the description. */
export const requestForms: readonly string[] = [
  "$",
  "Draw $.",
  "a picture of $",
  "Show me $.",
  "an image of $",
  "Please draw $.",
  "Paint $.",
  "Can you draw $?",
  "Create an image of $.",
  "Generate a picture of $.",
  "I would like to see $.",
  "Make a drawing of $.",
];

/** A request for an image, as a user might type it: half are the bare description. */
export function request(wanted: string, random: CounterRandom): string {
  const draw = random.sequence();
  const form = draw.uniform() < 0.5 ? "$" : draw.pick(requestForms.slice(1));
  const bare = draw.uniform() < 0.1 ? wanted.replace(/^(an?|the) /, "") : wanted;
  return asTyped(
    form.replace("$", () => bare),
    random.fork("typed"),
  );
}

/** The bare description in a request. */
export function unwrapRequest(text: string): string {
  const plain = text.trim().replace(/[.?!]$/, "");
  for (const form of requestForms.slice(1)) {
    const [before = ""] = form.split("$");
    if (plain.toLowerCase().startsWith(before.toLowerCase())) return plain.slice(before.length);
  }
  return plain;
}

/** The same words with varied spelling, case and punctuation. Quoted text is unchanged. */
export function asTyped(text: string, random: CounterRandom): string {
  const draw = random.sequence();
  let typed = draw.uniform() < 0.5 ? text : text.replaceAll("colour", "color").replaceAll("Colour", "Color");
  if (draw.uniform() < 0.15) typed = typed.replace(/[.?]$/, "");
  const looks = draw.uniform();
  if (looks < 0.2) return inSmallLetters(typed);
  if (looks < 0.24) return outsideQuotes(typed, (part) => part.toUpperCase());
  return typed;
}

/** In lower case, except for quoted text. */
export function inSmallLetters(text: string): string {
  return outsideQuotes(text, (part) => part.toLowerCase());
}

function outsideQuotes(text: string, change: (part: string) => string): string {
  return text
    .split('"')
    .map((part, i) => (i % 2 === 0 ? change(part) : part))
    .join('"');
}

function capitalized(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}
