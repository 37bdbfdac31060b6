"""Small tokenizers, and chat templates of every kind, for the tests of text and data."""

import json
from pathlib import Path
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "Once upon a time there was a little dog. The dog said: hello there, who are you?\n\n",
    "system user assistant Human: Assistant: Tell me a story about a cat and a tree, please.\n",
    "Yes!  I will tell you.   The end of the story is near, and the cat is up the tree.\n",
]
CONTROL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>"]
CONTROL += ["<|end_header_id|>", "<|eot_id|>", "<|channel|>", "<|message|>", "<|return|>"]

CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + "
    "'<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
DATED = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nToday is ' + strftime_now('%d %b %Y') + '<|im_end|>\n' }}{% endif %}"
) + CHATML
CHANNELS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] }}{% if m['role'] == 'assistant' %}"
    "{{ '<|channel|>final<|message|>' + m['content'] + '<|return|>' }}"
    "{% else %}{{ '<|message|>' + m['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
)
ENDLESS = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
LOSING = (
    "{% for m in messages %}{% if m['role'] != 'assistant' %}{{ m['content'] + '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '' }}{% endif %}"
)
THINKING = CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}")
SHORTENING = CHATML.replace("m['content']", "m['content'].split('</think>')[-1]")


def byte_level(*, words: bool = True, size: int = 400) -> Tokenizer:
    """Byte-level BPE that knows every text; without `words` its merges cross any boundary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def llama(*, metaspace: bool = False) -> Tokenizer:
    """As Llama's: a space before every text, bytes where a character is unknown, BOS in front."""
    pieces = [*CONTROL, *(f"<0x{i:02X}>" for i in range(256)), *"▁abcdefghilmnoprstuwy.,!OT"]
    merges = [("▁", "a"), ("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "▁"), ("o", "n"), ("O", "n")]
    vocab = {piece: i for i, piece in enumerate(pieces + [a + b for a, b in merges])}
    model = models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(CONTROL)
    bytes_back: list[Any] = [decoders.ByteFallback(), decoders.Fuse()]
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence(
            [decoders.Metaspace(prepend_scheme="first"), *bytes_back]
        )
    else:
        written = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence(written)
        unwritten = [decoders.Replace("▁", " "), *bytes_back, decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(unwritten)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])]
    )
    return tokenizer


def folder(
    path: Path,
    tokenizer: Tokenizer | None = None,
    template: str | None = None,
    *,
    config: dict[str, Any] | None = None,
    generation: dict[str, Any] | None = None,
    **tokens: Any,
) -> Path:
    """The text half of a model folder; `tokens` go to the tokenizer, None for one it lacks."""
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **tokens}
    tokens = {name: value for name, value in tokens.items() if value is not None}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer or byte_level(), **tokens)
    fast.chat_template = template
    fast.save_pretrained(str(path))
    for name, told in (("config.json", config), ("generation_config.json", generation)):
        if told is not None:
            (path / name).write_text(json.dumps(told))
    return path
