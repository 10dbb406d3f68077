#!/usr/bin/env python3
"""Writes tests/text/golden/chat.jsonl: ids of chat prompts by transformers' apply_chat_template.

    python chat_ids.py TOKENIZERS_FOLDER TEMPLATES_FOLDER > ../../text/golden/chat.jsonl

TOKENIZERS_FOLDER is shared/data/tokenizers; TEMPLATES_FOLDER holds the models' own Jinja texts (chatml, smollm2,
llama2, llama3a, llama3b, llama3.1, llama3.2, mistral-v0.1, -v0.2, -v0.3 .jinja), which are not ours to keep here.
Each row: the tokenizer's folder, the SHA-256 of the template's text ("\\n" written out, no blanks at its end), the
name radmill gives the format, field texts, target, the ids of the prompt and of the whole up to its end token.
ChatML is done with GPT-2's vocabulary, SmolLM2's pre-tokenizer and the two tokens appended.
"""
import gzip
import hashlib
import json
import os
import sys

import tokenizers
import transformers

SYSTEM = "You write the impression of radiology reports."
USER = "Write the impression for this report.\n\n"
CASES = [
    (["findings"], ["The lungs are clear."], "No acute cardiopulmonary process."),
    (["clinical", "findings"], ["Cough, 3 days.", "A 12 mm nodule (series 4, image 31) in the left lobe; heart size is normal"],
     "1. Pulmonary nodule, 12 mm.\n2. Follow-up CT in 3 months."),
    (["findings"], ["Effusion ≥ 5 mm; <s> and <|eot_id|> are text, [INST] too."], "Small effusion."),
    (["clinical", "findings", "comparison"], ["Fall!?", "L4-5: disc bulge...", "None."], "Degenerative change"),
]
HEAD = {"clinical": "Clinical information", "findings": "Findings", "comparison": "Comparison"}
MODELS = [
    ("gpt2", "chatml", "chatml", "<|im_end|>"), ("gpt2", "smollm2", "chatml", "<|im_end|>"),
    ("llama2", "llama2", "llama2-chat", "</s>"), ("llama3.1", "llama3a", "llama3-chat", "<|eot_id|>"),
    ("llama3.1", "llama3b", "llama3-chat", "<|eot_id|>"), ("llama3.1", "llama3.1", "llama3.1-chat", "<|eot_id|>"),
    ("llama3.1", "llama3.2", "llama3.1-chat", "<|eot_id|>"), ("mistral-v0.1", "mistral-v0.1", "mistral-instruct", "</s>"),
    ("mistral-v0.1", "mistral-v0.2", "mistral-instruct", "</s>"),
    ("mistral-v0.3", "mistral-v0.3", "mistral-v0.3-instruct", "</s>"),
]


def load(folder, name):
    with gzip.open(os.path.join(folder, name, "tokenizer.json.gz"), "rt", encoding="utf-8") as f:
        j = json.load(f)
    if name == "gpt2":
        j["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}
        for i, content in enumerate(("<|im_start|>", "<|im_end|>")):
            j["added_tokens"].append({"id": 50257 + i, "content": content, "single_word": False, "lstrip": False,
                                      "rstrip": False, "normalized": False, "special": True})
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(j)),
        bos_token="<|begin_of_text|>" if name == "llama3.1" else None if name == "gpt2" else "<s>",
        eos_token="<|eot_id|>" if name == "llama3.1" else "<|im_end|>" if name == "gpt2" else "</s>")


def guard(tok, text):
    """A field's text where the reference would find special tokens in it: their ids are not what a report means."""
    for t in tok.all_special_tokens + list(tok.get_added_vocab()):
        text = text.replace(t, "".join(c + "\u2060" for c in t)[:-1]) if t in text else text
    return text


def main():
    print(json.dumps({"made_by": "tests/support/golden/chat_ids.py", "transformers": transformers.__version__,
                      "tokenizers": tokenizers.__version__}))
    for name, template, ours, end in MODELS:
        tok = load(sys.argv[1], name)
        with open(os.path.join(sys.argv[2], template + ".jinja"), encoding="utf-8") as f:
            jinja = f.read()
        digest = hashlib.sha256(jinja.replace("\\n", "\n").rstrip().encode()).hexdigest()
        for fields, texts, target in CASES:
            texts = [guard(tok, t) for t in texts]
            body = USER + "\n".join(f"{HEAD[f]}: {t}" for f, t in zip(fields, texts))
            if name.startswith("mistral"):
                messages = [{"role": "user", "content": SYSTEM + "\n\n" + body}]
            else:
                messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": body}]
            args = dict(chat_template=jinja.rstrip("\n"), date_string="26 Jul 2024", tokenize=True, return_dict=False)
            prompt = tok.apply_chat_template(messages, add_generation_prompt=True, **args)
            whole = tok.apply_chat_template(messages + [{"role": "assistant", "content": target}], **args)
            stop = len(whole) - whole[::-1].index(tok.convert_tokens_to_ids(end))
            if template == "llama3b":  # opens another turn behind the answer
                stop = len(prompt) + whole[len(prompt):].index(tok.convert_tokens_to_ids(end)) + 1
            print(json.dumps({"tokenizer": name, "template": digest, "name": ours, "fields": dict(zip(fields, texts)),
                              "target": target, "prompt": prompt, "whole": whole[:stop]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
