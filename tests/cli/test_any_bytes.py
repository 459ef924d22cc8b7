"""Any bytes in a file of rows give messages: of check, of clean and of augment, never a traceback."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.cli import exit_codes
from core.cli.inspect import best_and_generate
from core.cli.main import main
from core.contract.spec import spec_file
from core.data.augment import augment_plan, augmented_writer
from core.data.augment.augmented_writer import KEPT, Paraphrase
from core.data.augment.prompt_place import find_prompt
from core.data.readers.row_values import UnusableRow
from core.data.readers.source_files import find_sources
from core.errors import TrimtabError

EXAMPLES = int(os.environ.get("TRIMTAB_EXAMPLES", "10"))  # 2,000 for a longer look
KINDS = ("jsonl", "json", "csv", "tsv", "txt", "jsonl.gz", "parquet", "arrow")
ASK, TELL = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
ROWS = [
    {"prompt": "q one", "completion": "a"}, {"prompt": "", "completion": "a"}, {"prompt": [ASK]},
    {"prompt": 1, "completion": []}, {"messages": [ASK, TELL]}, {"messages": [ASK, {"role": "tool"}]},
    {"messages": "[{]"}, {"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [7]}]},
    {"conversations": [{"from": "gpt"}]}, {"chosen": [TELL], "rejected": 1, "label": True},
    {"text": "a", "label": [1]}, {"text": "a\ud800"}, {"instruction": "q", "output": "a", "group": None}, {},
    {"prompt": "q", "completion": "a", "group": [1]}, {"messages": [ASK, TELL], "tools": "x"}, [1], 7,
]  # fmt: skip
PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([json.dumps(row).encode() + b"\n" for row in ROWS]),
    st.sampled_from(
        [b"[", b"]", b"{", b",", b"\n", b'"', b"prompt,completion\n", b"q,a\n", b"\xff\xfe", b"\0"]
    ),
)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Write a study file on these bytes; the commands run in this process, without a model."""
    monkeypatch.setattr(best_and_generate, "run_with_torch", lambda *given: exit_codes.OK)

    def write(content: bytes, kind: str):
        (tmp_path / f"rows.{kind}").write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
        spec = tmp_path / "study.toml"
        spec.write_text(
            f'[study]\nname = "s"\n[model]\nbase = "a/b"\n[data]\nsource = "rows.{kind}"\nvalidation = 0.3\n'
        )
        return spec

    return write


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(kind=st.sampled_from(KINDS), pieces=st.lists(PIECES, max_size=8))
def test_any_bytes_give_messages(study, tmp_path, capsys, kind, pieces):
    spec = study(b"".join(pieces), kind)
    known = tmp_path / "known.jsonl"  # without a sample, check reads rows only to compare them
    known.write_text('{"text": "twelve words in a row that no other row has in it at all"}\n')
    check = ["check", "--scan", "0", "--against", str(known)]
    for command in (check, ["clean", "--dry-run"], ["augment", "-o", str(tmp_path / "out")]):
        code = main([command[0], str(spec), *command[1:]])
        said = capsys.readouterr()
        assert code in (exit_codes.OK, exit_codes.FAILURE, exit_codes.BAD_INPUT), said.err
        assert "Traceback" not in said.out + said.err
        assert code == exit_codes.OK or said.err.startswith("trimtab: ")
    _plan(spec, tmp_path / "out")


def _plan(spec, out) -> None:
    """Do all of an augmentation but what a model does: every other prompt gets a paraphrase."""
    study = spec_file.load(spec)
    (source,) = find_sources(study.data)
    try:
        plan = augment_plan.make_plan(study, source, lambda text: None)
        shape, rows = plan.read_at(plan.choose(None, 0))
        for _, raw in rows:
            try:
                find_prompt(raw, shape).put(raw, "other")
            except UnusableRow as error:
                assert str(error)
        tried = [Paraphrase(at + 1, "q", f"other {at}", KEPT) for at in plan.choose(None, 0)[::2]]
        augmented_writer.drop_copies(plan, tried)
    except TrimtabError as error:
        assert all(problem.what and "\n" not in problem.what for problem in error.problems)
