"""A model that is played: it answers the boards' questions as a script says, through the real worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.train.data.dataset import MASKED, Row
from core.train.scoring.batched_scoring import BatchedAnswers, Question, UnitResult
from core.train.step.compute_requests import BASE, Written
from core.train.step.target_token_losses import Reading

SURE, UNLIKELY = 0.01, 4.0  # nats per token


@dataclass
class Script:
    """``write`` continues a prompt, given as text and as tokens; ``loss`` is that of a row's tokens, given
    the text that is scored and the row: nats per token, and whether each is the first choice. ``token_s``
    is the time that each token takes."""

    write: Callable[[str, Sequence[int]], str | Sequence[int]] = lambda prompt, ids: "no"
    loss: Callable[[str, Row], tuple[float, bool]] = lambda text, row: (UNLIKELY, False)
    token_s: float = 0.1


def play(bench, base: Script, trial: Script) -> None:
    """Have the base and all trials of the bench answer by scripts."""
    tokenizer = bench.base.tokenizer

    def answer(question: Question) -> Reading | Written:
        script = base if question.owner == BASE else trial
        if question.item is not None:
            row = question.item.row
            targets = [token for token in row.labels[1:] if token != MASKED]
            loss, first = script.loss(tokenizer.decode(targets, skip_special_tokens=True), row)
            return Reading([loss] * len(targets), [float(first)] * len(targets))
        ids = list(question.prompt.ids)
        told = script.write(tokenizer.decode(ids, skip_special_tokens=True), ids)
        if isinstance(told, str):
            told = tokenizer(told, add_special_tokens=False)["input_ids"]
        return Written(list(told)[: question.tokens], script.token_s, script.token_s * (len(told) + 1))

    def unit(self: BatchedAnswers, asked: Sequence[Question], limit_s: float = 0.0) -> UnitResult:
        return UnitResult(answers={question: answer(question) for question in asked})

    bench.pack.parts.scoring.background._answering.unit = unit.__get__(
        bench.pack.parts.scoring.background._answering
    )
