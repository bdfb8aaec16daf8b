"""Writes expected.json: what Hugging Face's tokenizers and transformers make of texts and conversations.

Made with tokenizers 0.21.4, transformers 4.51.0 and Jinja2 3.1.6:
    pip install tokenizers==0.21.4 transformers==4.51.0 jinja2==3.1.6
    python test/text/make.py
The tokenizer is that of test/released/gqa8, with the fields of each variant in place of its own.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

here = Path(__file__).parent
model = here.parent / "released" / "gqa8" / "model"
base = json.loads((model / "tokenizer.json").read_text())
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def split(pattern, **more):
    step = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False, **more}
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [step, BYTES]}}


def added(*tokens):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    more = [{"id": 1200 + i, "content": content, **flags, **own} for i, (content, own) in enumerate(tokens)]
    return {"added_tokens": base["added_tokens"] + more}


def stripping(tokens):
    own = {"<|im_start|>": {"rstrip": True}, "<|im_end|>": {"lstrip": True}}
    return {"added_tokens": [{**token, **own.get(token["content"], {})} for token in tokens]}


LLAMA = f"{CONTRACTIONS}|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|\\p{{N}}{{1,3}}|{REST}"
variants = {
    "as released": {},
    "tokens that strip": added(("<ls>", {"lstrip": True}), ("<rs>", {"rstrip": True}), ("<both>", {"lstrip": True, "rstrip": True})),
    "special tokens that strip": stripping(base["added_tokens"]),
    "tokens of normalized text": added(("<nm>", {"normalized": True})),
    "tokens in each other": added(("<think>\n", {}), ("<thi", {}), ("k>", {}), ("a<think>b", {})),
    "Llama 3": split({"Regex": LLAMA}),
    "GPT-4, inverted": split({"Regex": LLAMA}, behavior="Removed", invert=True),
    "GPT-2": {"normalizer": None, "pre_tokenizer": {**BYTES, "use_regex": True}},
    "a separator": split({"String": "[a"}),
    "a separator, inverted": split({"String": "a"}, invert=True),
    "NFKC": {"normalizer": {"type": "NFKC"}},
}
pieces = [
    "", "a red circle", "What's this?\n\n  I'LL say: 12345 + 67", "\n[1] x", " <b> y", "[a[ab] <c>", "<think>\nhm, 1 < 2 </think>\n\nred",
    "<|box_start|>(1,2)<|box_end|>", "see <|object_ref_start|>cat<|object_ref_end|> ", "<|im_", "a<think>b<thik>", "x <ls> y <rs> z <both> \n<nm>é",
    "\u3000\u0663\n\n\u0085\u00bd", "/12345\u00a0\n\n\ufeff\u00df<", "e\u0301 \u212b \ufb01 \u00b2", "日本語 🎉 👨\u200d👩\u200d👧\u200b", "\r\n\t  \r\n", "  \u0085<both>\ufeff<ls>",
    "Straße ǅ ʰ \u0345_=\n", "\u0000\u0001",
]
turns = ["<|im_start|>user\n" + piece + "\u0085<|im_end|>\ufeff\n<|im_start|>  assistant" for piece in pieces]

THINK = (
    "{%- if tools is not none and tools | length > 0 %}tools{% endif %}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n"
    "{%- set c = m.content %}{% if m.role == 'assistant' and '</think>' in c %}{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "{% if c.startswith('<') %}!{% endif %}{{ c | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
templates = {"released": json.loads((model / "chat_template.json").read_text())["chat_template"], "thinking": THINK}
image = {"type": "image", "image": "image"}
conversations = [
    ("released", [{"role": "user", "content": [image, {"type": "text", "text": "\n[1] What's <this>?"}]}]),
    ("released", [{"role": "system", "content": "Be brief. "}, {"role": "user", "content": "a < b | c > d_e?"}, {"role": "assistant", "content": "<think>\nhm</think>yes"}]),
    ("released", [{"role": "user", "content": [{"type": "text", "text": "on "}, image, {"type": "text", "text": " and e"}, {"type": "text", "text": "\u0301"}, image]}]),
    ("thinking", [{"role": "user", "content": "<b>?\n"}, {"role": "assistant", "content": "<think>|_|</think>\n\n<|box_start|>(1,2)<|box_end|>"}, {"role": "user", "content": " more "}]),
]

encoded = []
for name, fields in variants.items():
    tokenizer = Tokenizer.from_str(json.dumps({**base, **fields}))
    texts = pieces + turns
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    encoded.append({"name": name, "fields": fields, "texts": texts, "ids": ids, "decoded": decoded})

fast = PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"), eos_token="<|im_end|>")
prompts = []
for name, messages in conversations:
    text = fast.apply_chat_template(messages, chat_template=templates[name], tokenize=False, add_generation_prompt=True)
    ids = fast(text, add_special_tokens=False)["input_ids"]
    prompts.append({"template": templates[name], "messages": messages, "text": text, "ids": ids})

result = {"encoded": encoded, "prompts": prompts}
(here / "expected.json").write_text(json.dumps(result, ensure_ascii=True, separators=(",", ":")) + "\n")
