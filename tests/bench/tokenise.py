"""``python -m tests.bench.tokenise [ROWS]``: how fast rows are read, rendered, tokenised and cached, as a
ratio to the tokenizers library on the same texts, and how fast they are then read from the cache.

All are measured in turn within one run, and the best of several rounds counts. The tokenizer is byte-level,
with the words of the standard library's docstrings; rows are chats of two to six turns of such texts.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.contract.spec import spec_file
from core.train.data import row_tokenizer, stdlib_pairs
from core.train.data.chat_spans import Chat
from core.train.data.dataset import load_data
from core.train.progress_callback import report_nothing
from tests.templates.field_templates import source

ROUNDS, ROWS = 3, 4000
TEXTS, CHATS = "tokenizer(texts)", "apply_chat_template"
SIZE = 16_000  # of the vocabulary


def main(rows: int = ROWS) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TRIMTAB_CACHE"] = scratch
        chats = _chats(rows)
        file = Path(scratch) / "rows.jsonl"
        file.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
        tokenizer = _tokenizer([turn["content"] for chat in chats for turn in chat])
        for name in ("chatml", "llama-3.1", "qwen-3"):
            tokenizer.chat_template = source(name)
            _measure(name, tokenizer, chats, file)


def _measure(name: str, tokenizer: Any, chats: list[Any], file: Path) -> None:
    chat = Chat(tokenizer)
    texts = [chat.read(turns).text for turns in chats]
    spec = spec_file.parse(
        {
            "study": {"name": "s"}, "model": {"base": "none"},
            "data": {"source": str(file), "validation": 0.001},
            "train": {"steps": 1, "sequence_length": 4096},
        }
    )  # fmt: skip
    backend = tokenizer.backend_tokenizer
    ways: dict[str, Callable[[], Any]] = {
        TEXTS: lambda: tokenizer(texts, add_special_tokens=False),
        "tokenizers' batch": lambda: backend.encode_batch(texts, add_special_tokens=False),
        CHATS: lambda: tokenizer.apply_chat_template(chats, tokenize=True),
        "without the cache": lambda: row_tokenizer.tokenize_rows(spec, tokenizer, report_nothing),
        "all, cache written": lambda: _afresh(spec, tokenizer, "tokens/*/manifest.json"),
        "all, first review": lambda: _afresh(spec, tokenizer, "tokens/*/manifest.json", "checks-*"),
        "from the cache": lambda: load_data(spec, tokenizer, report_nothing),
    }
    rounds = [{way: _measure_call(run) for way, run in ways.items()} for _ in range(ROUNDS)]
    best = {
        way: [min(values) for values in zip(*(each[way] for each in rounds), strict=True)] for way in ways
    }
    print(f"\n{name}: {len(texts)} rows, {sum(map(len, texts)) / 1e6:.1f} MB of text")
    print(f"  {'':<22}{'s':>7}{'CPU ms a row':>14}  rate relative to the library's tokenizer(texts) and,")
    print(f"  {'':<22}{'':>21}  another measure, to its apply_chat_template(chats, tokenize=True)")
    for way, (seconds, cpu_s) in best.items():
        ratios = "".join(f"{best[each][0] / seconds:>8.2f}" for each in (TEXTS, CHATS))
        print(f"  {way:<22}{seconds:>7.2f}{1000 * cpu_s / len(texts):>14.3f}  {ratios}")


def _afresh(spec: Any, tokenizer: Any, *patterns: str) -> None:
    for pattern in patterns:
        for file in Path(os.environ["TRIMTAB_CACHE"]).glob(pattern):
            file.unlink()
    load_data(spec, tokenizer, report_nothing)


def _measure_call(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of a call, and those of all threads of this process."""
    begin, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begin, time.process_time() - cpu


def _chats(rows: int) -> list[list[dict[str, str]]]:
    pairs, draw = stdlib_pairs.load_pairs(report_nothing), random.Random(0)
    chats = []
    for _ in range(rows):
        drawn = draw.choices(pairs, k=6)
        answers = [" ".join(pair["completion"] for pair in draw.choices(pairs, k=5)) for _ in drawn]
        turns = [
            {"role": role, "content": text}
            for pair, answer in zip(drawn, answers, strict=True)
            for role, text in (("user", pair["prompt"]), ("assistant", answer))
        ]
        chats.append(turns[: draw.choice((2, 4, 6))])
    return chats


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    special = ["<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"]
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[*special, "<|start_header_id|>", "<|end_header_id|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=special[0], eos_token=special[2])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
