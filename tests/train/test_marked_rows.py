"""A row of a source is shown with the tokens that training learns from it."""

from __future__ import annotations

import json

import pytest

from core.contract.wire.answers.data_messages import CUT, LEARNT, AskDataRow
from core.train.commands import mark_learnt_tokens
from core.train.commands.mark_learnt_tokens import RowMarker
from core.train.data.dataset import MASKED, load_data
from core.train.progress_callback import report_nothing
from tests.tiny import tiny_tokenizer

ROWS = [
    {"prompt": "read a file", "completion": "open the path"},
    {"prompt": "sort", "completion": ""},
    {"prompt": "join", "completion": "the list " * 60},
    {"messages": [{"role": "user", "content": "hi"}]},
    *({"prompt": f"find {n}", "completion": f"value {n}"} for n in range(20)),
]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture
def marker(study, tokenizer, tmp_path, monkeypatch):
    """Answers about the rows; the study, too."""
    monkeypatch.setattr(mark_learnt_tokens, "load_tokenizer", lambda spec: tokenizer)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def make(**data):
        data = {"source": str(path), "validation": 0.2} | data
        return RowMarker(study(data=data, train={"sequence_length": 64})), study(
            data=data, train={"sequence_length": 64}
        )

    return make


def ask(marker: RowMarker, row: int, source: str = "data.source"):
    return marker.answer(AskDataRow("s", source, row))


def test_the_marked_tokens_are_those_that_training_learns(marker, tokenizer):
    rows, spec = marker()
    data = load_data(spec, tokenizer, report_nothing)
    trained = {
        tokenizer.decode(row.ids): (len(row.ids), tokenizer.decode([t for t in row.labels if t != MASKED]))
        for row in [*data.train, *data.validation]
    }
    shown = [ask(rows, number) for number in range(1, len(ROWS) + 1)]
    seen = {}
    for row in shown:
        kept = [piece for piece in row.pieces if piece.kind != CUT]
        learnt = "".join(piece.text for piece in kept if piece.kind == LEARNT)
        if not row.why_none:
            seen["".join(piece.text for piece in kept)] = (row.tokens, learnt)
    assert seen == trained


def test_a_cut_row_shows_where_and_a_skipped_one_why(marker):
    rows, _ = marker()
    long = ask(rows, 3)
    assert long.is_cut and long.tokens == 64 and [piece.kind for piece in long.pieces][-2:] == [LEARNT, CUT]
    assert ask(rows, 2).why_none == "training skips this row: completion is empty"
    assert ask(rows, 4).why_none.startswith("training skips this row: ")
    assert ask(rows, 25).why_none == "the source has 24 rows" and ask(rows, 24).of == 24


def test_rows_are_found_in_any_order(marker, monkeypatch):
    monkeypatch.setattr(mark_learnt_tokens, "KEPT", 3)
    rows, _ = marker()
    shown = {number: ask(rows, number) for number in (20, 6, 7, 5, 24, 22, 23, 8)}
    for number, row in shown.items():
        assert row.pieces[1].text.startswith(f"value {number - 5}")


def test_an_unknown_source_and_one_that_is_gone_say_so(marker, tmp_path):
    rows, _ = marker()
    assert "no source 'data.other'" in ask(rows, 1, "data.other").why_none
    rows, _ = marker(source=str(tmp_path / "none.jsonl"))
    assert "does not exist" in ask(rows, 1).why_none
