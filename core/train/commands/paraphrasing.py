"""Lets a base model say the prompts of rows in other words, and rate the rows with the new prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.contract.spec.study_spec import StudySpec
from core.data.augment import paraphrase_checks as checks
from core.data.augment.augmented_writer import KEPT, Paraphrase
from core.data.augment.prompt_place import PromptPlace, find_prompt
from core.data.cache.token_arrays import CUT, END, INDEX
from core.data.readers.row_shape import Canonical, Raw, Shape
from core.data.readers.row_texts import split
from core.data.readers.row_values import UnusableRow
from core.train.adapters.adaptable_layers import find_adaptable
from core.train.adapters.adapter_stack import Stack
from core.train.base.base_model import Base
from core.train.data.dataset import Row, has_target
from core.train.data.row_format import RowFormat
from core.train.data.row_tokenizer import RowReader
from core.train.probes.prompt_encoder import PromptEncoder
from core.train.scoring.batched_scoring import Answer, BatchedAnswers, Question
from core.train.step.compute_requests import BASE, Prompt, Written
from core.train.step.forward_pass import Forward, Item
from core.train.step.target_token_losses import Reading

ASK = (
    "Say this request in other words, with the same meaning and the same names and numbers. Do not answer it."
)
SHOTS = (  # without an example, a small model answers the request
    (
        "How can I lower my electricity bill at home?",
        "What are some ways for me to spend less on electricity at home?",
    ),
    (
        "Explain the difference between TCP and UDP to a beginner.",
        "Give a beginner-friendly explanation of how TCP and UDP differ.",
    ),
    ("Translate this sentence: It rains.", "Give me a translation of the following sentence: It rains."),
)
LONGER, MORE = 2, 16  # a paraphrase has at most LONGER times the tokens of the prompt, and MORE
UNIT_S = 5.0  # of work between two progress reports
SLACK = 1e-4  # share of the loss by which two readings of one row may differ
UNFINISHED, UNLIKELY, UNREADABLE = "too long", "the answer is less likely", "cannot be read as a row"
TOO_LONG = "the row is longer than the model's context"
NO_ROOM = "asking for it takes more tokens than the model's context has"


@dataclass(frozen=True)
class Options:
    """How many paraphrases of each row are tried, and how they are drawn."""

    per_row: int
    seed: int
    temperature: float


@dataclass
class _Try:
    """A paraphrase, the row that it is of, and ``row``, the same with the paraphrase."""

    at: int
    raw: Raw
    place: PromptPlace
    report: Paraphrase
    draw: int = 0  # its number among those of the row
    row: Raw | None = None


class Paraphraser:
    """Writes and rates paraphrases with a base model, many at once."""

    def __init__(
        self, spec: StudySpec, base: Base, columns: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        survey, _ = find_adaptable(base, warn)
        stack = Stack(base.model.dtype, base.device)
        self._answers = BatchedAnswers(base, stack, Forward(base, stack, survey.head), alone=False)
        if survey.why_alone:
            self._answers.bind(1)
        self._encoder = PromptEncoder(base)
        self._has_template = bool(base.tokenizer.chat_template)
        form = RowFormat(spec, base.tokenizer, columns)
        self._reader = RowReader(form, self._encoder.context, lambda *_: None)

    def try_rows(
        self, rows: Sequence[tuple[int, Raw]], shape: Shape, options: Options, tell: Callable[[float], None]
    ) -> list[Paraphrase]:
        """Paraphrase the prompts of these rows, which have their indices in the source, and give a verdict on
        each paraphrase; ``tell`` gets the share that is done, 0 to 1."""
        tries = list(self._begin(rows, shape, options))
        self._write(tries, options, lambda share: tell(0.7 * share))
        for attempt in tries:
            self._check(attempt, shape)
        self._rate(
            [attempt for attempt in tries if attempt.row is not None],
            shape,
            lambda share: tell(0.7 + 0.3 * share),
        )
        tell(1.0)
        return [attempt.report for attempt in tries]

    def _begin(self, rows: Sequence[tuple[int, Raw]], shape: Shape, options: Options) -> Iterator[_Try]:
        for at, raw in rows:
            try:
                place = find_prompt(raw, shape)
            except UnusableRow as error:
                place = PromptPlace((), "")
                yield _Try(at, raw, place, Paraphrase(at + 1, "", "", str(error)))
                continue
            for draw in range(options.per_row):
                yield _Try(at, raw, place, Paraphrase(at + 1, place.text, "", ""), draw)

    # -- writing ----------------------------------------------------------------------------------

    def _write(self, tries: Sequence[_Try], options: Options, tell: Callable[[float], None]) -> None:
        """Put a paraphrase into each report that has no verdict yet."""
        tries_by_question = dict[Question, _Try]()
        for attempt in tries:
            if attempt.report.verdict:
                continue
            ids = self._ask(attempt.place.text)
            tokens = LONGER * len(self._encoder.ids(attempt.place.text)) + MORE
            tokens = min(tokens, self._encoder.context - len(ids))
            if tokens < 1:
                attempt.report.verdict = NO_ROOM
                continue
            seed = f"paraphrase {options.seed} {attempt.at} {attempt.draw}"
            prompt = Prompt(None, ids, tokens, seed, temperature=options.temperature)
            tries_by_question[Question(BASE, prompt=prompt)] = attempt
        for question, answer in self._answer(list(tries_by_question), tell).items():
            assert isinstance(answer, Written) and question.prompt is not None
            attempt = tries_by_question[question]
            is_over = len(answer.ids) < question.prompt.tokens
            text, is_over = self._read(answer.ids, is_over)
            attempt.report.paraphrase = checks.tidy(text, attempt.place.text)
            attempt.report.verdict = "" if is_over else UNFINISHED

    def _ask(self, text: str) -> list[int]:
        """Return the tokens that ask for a paraphrase: in the chat template, else as a list that goes on."""
        if self._has_template:
            turns = [
                turn
                for original, paraphrase in SHOTS
                for turn in (
                    {"role": "user", "content": f"{ASK}\n\n{original}"},
                    {"role": "assistant", "content": paraphrase},
                )
            ]
            return self._encoder.request(f"{ASK}\n\n{text}", turns)
        shown = "".join(f"Request: {original}\nThe same: {paraphrase}\n\n" for original, paraphrase in SHOTS)
        return self._encoder.opening(f"{ASK}\n\n{shown}Request: {text}\nThe same:")

    def _read(self, ids: Sequence[int], is_over: bool) -> tuple[str, bool]:
        """Return the text that was written, and whether it came to its end."""
        if self._has_template:
            return self._encoder.answer(ids), is_over
        first, line_end, _ = self._encoder.text(ids).strip().partition("\n")
        return first, is_over or bool(line_end)

    # -- checking ---------------------------------------------------------------------------------

    def _check(self, attempt: _Try, shape: Shape) -> None:
        """Give a verdict on what needs no model; a paraphrase without a fault gets a row."""
        if attempt.report.verdict:
            return
        text = attempt.report.paraphrase
        learnt = " ".join(split(shape.read(attempt.raw), attempt.at + 1)[0].learnt)
        attempt.report.verdict = checks.find_fault(text, attempt.place.text, learnt)
        if not attempt.report.verdict:
            attempt.row = attempt.place.put(attempt.raw, text)

    # -- rating -----------------------------------------------------------------------------------

    def _rate(self, tries: Sequence[_Try], shape: Shape, tell: Callable[[float], None]) -> None:
        """Rate each row as it is, once, and with its paraphrases: the answer must not get less likely."""
        originals = {attempt.at: attempt.raw for attempt in tries}
        before = [shape.read(raw) for raw in originals.values()]
        after = [shape.read(attempt.row) for attempt in tries if attempt.row is not None]
        losses = self._score_losses([*before, *after], tell)
        original_losses = dict(zip(originals, losses, strict=False))
        for attempt, loss in zip(tries, losses[len(originals) :], strict=True):
            attempt.report.verdict = self._judge(attempt.report, original_losses[attempt.at], loss)

    def _judge(self, report: Paraphrase, before: float | str, loss: float | str) -> str:
        for value in (before, loss):
            if isinstance(value, str):
                return value
        assert isinstance(before, float) and isinstance(loss, float)
        report.before, report.loss = round(before, 4), round(loss, 4)
        return KEPT if loss <= before * (1 + SLACK) else UNLIKELY

    def _score_losses(self, rows: Sequence[Canonical], tell: Callable[[float], None]) -> list[float | str]:
        """Return the summed loss of what is learnt of each row, nats, or why there is none."""
        result: list[float | str] = [UNREADABLE] * len(rows)
        tries_by_question = dict[Question, int]()
        part = self._reader.read(rows, "augmented")
        spans = zip(part.begins.tolist(), part.rows[:, END].tolist(), strict=True)
        for (begin, end), at, is_cut in zip(
            spans, part.rows[:, INDEX].tolist(), part.rows[:, CUT], strict=True
        ):
            result[at] = TOO_LONG
            row = Row(part.ids[begin:end], part.labels[begin:end])
            if not is_cut and has_target(row):
                tries_by_question[Question(BASE, item=Item(None, row))] = at
        for question, answer in self._answer(list(tries_by_question), tell).items():
            assert isinstance(answer, Reading)
            result[tries_by_question[question]] = answer.loss
        return result

    def _answer(
        self, tries_by_question: Sequence[Question], tell: Callable[[float], None]
    ) -> dict[Question, Answer]:
        """Have the base answer all questions. Raises what it raises."""
        answers: dict[Question, Answer] = {}
        while len(answers) < len(tries_by_question):
            unit = self._answers.unit(
                [attempt for attempt in tries_by_question if attempt not in answers], UNIT_S
            )
            for error in unit.errors.values():
                raise error
            answers |= unit.answers
            begun_count = self._answers.count_generated(BASE)
            tell((len(answers) + begun_count) / len(tries_by_question))
        return answers


def list_columns(rows: Sequence[Canonical]) -> list[str]:
    """Return all columns of rows in the common form."""
    return list(dict.fromkeys(name for row in rows for name in row))
