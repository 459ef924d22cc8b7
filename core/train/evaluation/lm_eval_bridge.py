"""Runs lm-evaluation-harness in a thread and turns its requests into requests of a trial."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.train.adapters.lora_factors import Factors
from core.train.data.dataset import MASKED, Row, find_bos_tokens
from core.train.probes.prompt_encoder import PromptEncoder
from core.train.step.compute_requests import Prompt, Rate, ScoringRequest, TimedResult, Wait, Write
from core.train.step.forward_pass import Item

AT_ONCE = 8  # rows per request, so that messages wait briefly
WAIT_S = 0.05  # for the harness's next request; others train meanwhile
TOKENS = 256  # longest completion if a task names none, as in the harness's own models

Ask = Row | tuple[list[int], int]  # a row to score; or a prompt and the longest completion
Life = Generator[ScoringRequest, TimedResult, dict[str, Any]]
Count = Callable[[int], None]  # called with the number of answered requests


class Cancelled(Exception):
    """The scoring was cancelled: the harness's thread must end."""


class Failed(Exception):
    """The harness raised an error (not an error of a pass)."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Channel:
    """The queues between the harness's thread, which asks, and the scoring of a trial, which answers."""

    asked: queue.Queue[list[Ask]] = field(default_factory=queue.Queue)
    answered: queue.Queue[list[Any] | None] = field(default_factory=queue.Queue)
    result: dict[str, Any] | None = None
    error: Exception | None = None

    def ask(self, asks: list[Ask]) -> list[Any]:
        """The answers, in the order of ``asks``. Raises Cancelled."""
        self.asked.put(asks)
        answers = self.answered.get()
        if answers is None:
            raise Cancelled
        return answers

    def next(self) -> list[Ask] | None:
        """The next requests, if there are any."""
        try:
            return self.asked.get(timeout=WAIT_S)
        except queue.Empty:
            return None


def run_harness(work: Callable[[Channel], dict[str, Any]], mine: Factors | None, count: Count) -> Life:
    """Serve the requests that ``work`` makes in a thread; returns its result. Raises Failed."""
    channel = Channel()

    def run() -> None:
        try:
            channel.result = work(channel)
        except Cancelled:
            pass
        except Exception as error:
            channel.error = error

    thread = threading.Thread(target=run, name="lm-eval", daemon=True)
    thread.start()
    answered = 0
    try:
        while (asks := channel.next()) is not None or thread.is_alive():
            if asks is None:
                yield Wait()
                continue
            answers: list[Any] = []
            for request in _make_requests(asks, mine):
                result, _ = yield request
                answers += result.answers
                count(answered + len(answers))
            answered += len(answers)
            channel.answered.put(answers)
    finally:
        channel.answered.put(None)
    if channel.error is not None:
        raise Failed(channel.error)
    return channel.result or {}


def _make_requests(asks: Sequence[Ask], mine: Factors | None) -> Iterable[Rate | Write]:
    """A few asks per request, in their order; rows and texts apart."""
    at = 0
    while at < len(asks):
        first, same_kind = asks[at], list[Any]()
        for ask in asks[at : at + AT_ONCE]:
            if isinstance(ask, Row) != isinstance(first, Row):
                break
            same_kind.append(ask)
        at += len(same_kind)
        if isinstance(first, Row):
            yield Rate([Item(mine, row) for row in same_kind])
        else:
            yield Write([Prompt(mine, ids, tokens) for ids, tokens in same_kind])


def make_model(channel: Channel, encoder: PromptEncoder, tokenizer: Any) -> Any:
    """The harness's model of a trial. The harness's thread has its own tokenizer: Rust's cannot be shared
    between threads."""
    from lm_eval import utils
    from lm_eval.api.model import TemplateLM

    own = copy.deepcopy(tokenizer)
    begin = find_bos_tokens(own)

    class PackModel(TemplateLM):
        """The frozen base with a trial's adapter."""

        eot_token_id = own.eos_token_id if own.eos_token_id is not None else own.pad_token_id
        prefix_token_id = begin[0] if begin else eot_token_id

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **known: Any) -> list[int]:
            """Encode without special tokens, as trimtab's rows have none."""
            return list(own(string, add_special_tokens=False)["input_ids"])

        def _loglikelihood_tokens(self, requests: Any, **known: Any) -> list[tuple[float, bool]]:
            readings = channel.ask(
                [
                    make_row(context_ids, target_ids, encoder.context)
                    for _, context_ids, target_ids in requests
                ]
            )
            return [(-reading.loss, all(reading.firsts)) for reading in readings]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            parts = [self._windows(*request.args) for request in requests]
            readings = iter(
                channel.ask([make_row(*pair, encoder.context) for pairs in parts for pair in pairs])
            )
            return [sum(-next(readings).loss for _ in pairs) for pairs in parts]

        def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
            windows = utils.get_rolling_token_windows(
                token_list=self.tok_encode(text), prefix_token=self.prefix_token_id,
                max_seq_len=encoder.context - 1, context_len=1,
            )  # fmt: skip
            return [utils.make_disjoint_window(window) for window in windows]

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            asks = [self._prompt(*request.args) for request in requests]
            texts = [own.decode(completion.ids, skip_special_tokens=True) for completion in channel.ask(asks)]
            return [cut_at_stop(text, request.args[1]) for text, request in zip(texts, requests, strict=True)]

        def _prompt(self, text: str, how: dict[str, Any]) -> Ask:
            """The prompt, cut on the left if too long. Generation is greedy: a trial is asked once."""
            most = int(how.get("max_gen_toks") or how.get("max_new_tokens") or TOKENS)
            most = max(1, min(most, encoder.context - 1))
            return [*begin, *self.tok_encode(text)][-(encoder.context - most) :], most

    return PackModel()


def make_row(context_ids: Sequence[int], target_ids: Sequence[int], context: int) -> Row:
    """A row that scores ``target_ids`` after ``context_ids``, cut on the left if both are too long."""
    ids = [*context_ids, *target_ids][-context:]
    targets = min(len(target_ids), len(ids) - 1)
    return Row(ids, [*[MASKED] * (len(ids) - targets), *ids[len(ids) - targets :]])


def cut_at_stop(text: str, how: dict[str, Any]) -> str:
    """``text`` up to the first of the task's stop strings."""
    stops = how.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.split(stop, 1)[0]
    return text
