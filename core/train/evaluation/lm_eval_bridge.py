"""lm-evaluation-harness asks its questions of a pack: in a thread, whose requests become wants of a trial."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.train.adapters.lora_factors import Factors
from core.train.data.dataset import MASKED, Row, bos_tokens
from core.train.evaluation.eval_inputs import Asking
from core.train.step.forward_pass import Item
from core.train.step.step_requests import Asked, Done, Prompt, Rate, Wait, Write

AT_ONCE = 8  # rows of a want: a message waits for no more
PATIENCE_S = 0.05  # for the harness's next request; others train meanwhile
TOKENS = 256  # of a text, where a task names no number, as the harness's own models

Ask = Row | tuple[list[int], int]  # to be rated; or a prompt, and tokens at most
Life = Generator[Asked, tuple[Done, float], dict[str, Any]]
Count = Callable[[int], None]  # told how many requests are answered


class Left(Exception):
    """Whoever asked is gone: the harness's thread ends."""


class Failed(Exception):
    """What the harness raised; what a pass raises is another matter."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Line:
    """Between the harness's thread, which asks and waits, and the life of a trial, which answers."""

    asked: queue.Queue[list[Ask]] = field(default_factory=queue.Queue)
    answered: queue.Queue[list[Any] | None] = field(default_factory=queue.Queue)
    result: dict[str, Any] | None = None
    error: Exception | None = None

    def ask(self, asks: list[Ask]) -> list[Any]:
        """The answers, in their order. Raises Left."""
        self.asked.put(asks)
        answers = self.answered.get()
        if answers is None:
            raise Left
        return answers

    def next(self) -> list[Ask] | None:
        """What is asked now, if anything is."""
        try:
            return self.asked.get(timeout=PATIENCE_S)
        except queue.Empty:
            return None


def evaluated(work: Callable[[Line], dict[str, Any]], mine: Factors | None, count: Count) -> Life:
    """Do what ``work`` asks along its line; returns what it returns. Raises Failed."""
    line = Line()

    def run() -> None:
        try:
            line.result = work(line)
        except Left:
            pass
        except Exception as error:
            line.error = error

    thread = threading.Thread(target=run, name="lm-eval", daemon=True)
    thread.start()
    done = 0
    try:
        while (asks := line.next()) is not None or thread.is_alive():
            if asks is None:
                yield Wait()
                continue
            answers: list[Any] = []
            for want in _wants(asks, mine):
                result, _ = yield want
                answers += result.answers
                count(done + len(answers))
            done += len(answers)
            line.answered.put(answers)
    finally:
        line.answered.put(None)
    if line.error is not None:
        raise Failed(line.error)
    return line.result or {}


def _wants(asks: Sequence[Ask], mine: Factors | None) -> Iterable[Rate | Write]:
    """Few at once. Of texts those of one length, in the order in which they are asked."""
    at = 0
    while at < len(asks):
        first, some = asks[at], list[Any]()
        for one in asks[at : at + AT_ONCE]:
            if isinstance(one, Row) != isinstance(first, Row) or _tokens(one) != _tokens(first):
                break
            some.append(one)
        at += len(some)
        if isinstance(first, Row):
            yield Rate([Item(mine, one) for one in some])
        else:
            yield Write([Prompt(mine, ids) for ids, _ in some], first[1])


def _tokens(ask: Ask) -> int:
    return 0 if isinstance(ask, Row) else ask[1]


def model(line: Line, asking: Asking, tokenizer: Any) -> Any:
    """A model as the harness knows it. Its thread has a tokenizer of its own: Rust's cannot be shared."""
    from lm_eval import utils
    from lm_eval.api.model import TemplateLM

    own = copy.deepcopy(tokenizer)
    begin = bos_tokens(own)

    class Packed(TemplateLM):
        """The frozen base with a trial's adapter."""

        eot_token_id = own.eos_token_id if own.eos_token_id is not None else own.pad_token_id
        prefix_token_id = begin[0] if begin else eot_token_id

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **known: Any) -> list[int]:
            """Nothing is added: trimtab's rows have none either."""
            return list(own(string, add_special_tokens=False)["input_ids"])

        def _loglikelihood_tokens(self, requests: Any, **known: Any) -> list[tuple[float, bool]]:
            found = line.ask([row(given, wanted, asking.context) for _, given, wanted in requests])
            return [(-one.loss, all(one.firsts)) for one in found]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            parts = [self._windows(*one.args) for one in requests]
            found = iter(line.ask([row(*pair, asking.context) for some in parts for pair in some]))
            return [sum(-next(found).loss for _ in some) for some in parts]

        def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
            windows = utils.get_rolling_token_windows(
                token_list=self.tok_encode(text), prefix_token=self.prefix_token_id,
                max_seq_len=asking.context - 1, context_len=1,
            )  # fmt: skip
            return [utils.make_disjoint_window(one) for one in windows]

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            asks = [self._prompt(*one.args) for one in requests]
            said = [own.decode(one.ids, skip_special_tokens=True) for one in line.ask(asks)]
            return [until(text, one.args[1]) for text, one in zip(said, requests, strict=True)]

        def _prompt(self, text: str, how: dict[str, Any]) -> Ask:
            """Cut on the left where it is too long. Always the likeliest token: a trial is asked once."""
            most = int(how.get("max_gen_toks") or how.get("max_new_tokens") or TOKENS)
            most = max(1, min(most, asking.context - 1))
            return [*begin, *self.tok_encode(text)][-(asking.context - most) :], most

    return Packed()


def row(given: Sequence[int], wanted: Sequence[int], context: int) -> Row:
    """``wanted`` to be rated after ``given``, which is cut on the left where both are too long."""
    ids = [*given, *wanted][-context:]
    told = min(len(wanted), len(ids) - 1)
    return Row(ids, [*[MASKED] * (len(ids) - told), *ids[len(ids) - told :]])


def until(text: str, how: dict[str, Any]) -> str:
    """``text`` up to the first of the task's stops."""
    stops = how.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.split(stop, 1)[0]
    return text
