"""No password and no token is kept or shown."""

from __future__ import annotations

import io
import logging

import pytest

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.text import log_redaction
from core.contract.text.secret_redaction import HIDDEN, LONGEST, Redactor
from core.contract.wire import message_codec
from core.errors import SpecError

HF = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA"
ENVIRONMENT = {"HF_TOKEN": HF, "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567", "DEBUG_KEY": "on",
               "TOKENIZERS_PARALLELISM": "false", "SSH_KEY_FILE": "/home/ada/.ssh/id_ed25519"}  # fmt: skip
REDACTOR = Redactor(ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"401 for {HF}.", f"401 for {HIDDEN}."),
        ("another hf_ZZZZZZZZZZZZZZZZZZZZ1 there", f"another hf_{HIDDEN} there"),
        (f"wandb: {ENVIRONMENT['WANDB_API_KEY']}", f"wandb: {HIDDEN}"),
        ("sk-proj-Ab12Cd34Ef56Gh78Ij90Kl", f"sk-{HIDDEN}"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ", f"ghp_{HIDDEN}"),
        ("id AKIAIOSFODNN7EXAMPLE", f"id AKIA{HIDDEN}"),
        ("Authorization: Bearer abc.def-123_456789", f"Authorization: Bearer {HIDDEN}"),
        ("postgresql://ada:open-sesame@box/db", f"postgresql://ada:{HIDDEN}@box/db"),
        ("MY_PASSWORD=hunter2 and more", f"MY_PASSWORD={HIDDEN} and more"),
        ('"api_key": "Zx81Zx81Zx81Zx81"', f'"api_key": "{HIDDEN}"'),
    ],
)
def test_what_is_a_secret_or_looks_like_one_is_hidden(text, shown):
    assert REDACTOR.redact_text(text) == shown
    assert REDACTOR.contains_secret(text) and not REDACTOR.contains_secret(shown)


@pytest.mark.parametrize(
    "text",
    [
        "Qwen/Qwen2.5-7B-Instruct at 9b9c4e8f1a2b3c4d5e6f708192a3b4c5d6e7f809",
        "pad_token = <|endoftext|>, max_new_tokens=128, tokens: 123456789012",
        "/home/ada/models/sk-learn-notes/adapter_model.safetensors",
        "median pruner: eval/loss 1.66 at step 120 is worse than the median 1.52",
        "https://example.org:8080/data.jsonl?split=train", "postgresql://ada:${DB_PASSWORD}@box/db",
        "false", "on",
    ],
)  # fmt: skip
def test_what_is_none_stays(text):
    assert REDACTOR.redact_text(text) == text


def test_everything_in_an_event_is_looked_at_and_nothing_else_is_changed():
    metrics = {"train/loss": float("nan")}
    reported = e.TrialReported(at=1.0, study="s", trial=0, step=1, elapsed_s=1.0, metrics=metrics)
    assert REDACTOR.redact_all(reported) is reported
    process = e.Process(1, f"python --token {HF}", "ada", None)
    read = e.MachineRead(at=1.0, devices=(e.Device(0, "A100", processes=(process,)),), why_none=HF)
    clean = REDACTOR.redact_all(read)
    assert clean.why_none == HIDDEN and clean.devices[0].processes[0].name == f"python --token {HIDDEN}"
    assert clean.devices[0].processes[0].user == "ada" and read.why_none == HF


def test_what_is_no_character_can_be_written_all_the_same():
    named = e.StudyNoted(at=1.0, study="s", text="no such file: rows\udcff.jsonl \ud83d")
    assert message_codec.encode(REDACTOR.redact_all(named)) and REDACTOR.redact_all(named).text.endswith(
        "rows?.jsonl ?"
    )


def test_a_text_of_megabytes_is_cut():
    assert len(REDACTOR.redact_text("x" * 10_000_000)) == LONGEST + 1


def test_what_is_printed_and_logged_passes_here_first_also_in_pieces():
    out = io.StringIO()
    stream = log_redaction.Redacted(out, REDACTOR)
    for piece in ("loading with ", HF[:9], HF[9:], "\nand on"):
        print(piece, end="", file=stream)
    handler = logging.StreamHandler(stream)
    try:
        raise OSError(f"401 for {HF}")
    except OSError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed %s", (HF,), None)
        record.exc_info = __import__("sys").exc_info()
        handler.emit(record)
    stream.flush()
    assert HF not in out.getvalue() and out.getvalue().startswith(f"loading with {HIDDEN}\nand on")
    assert f"OSError: 401 for {HIDDEN}" in out.getvalue()


def test_a_study_file_with_a_secret_is_refused_without_showing_it():
    raw = {"study": {"name": "s"}, "model": {"base": "a/b"},
           "data": {"source": "https://ada:open-sesame@box/rows.jsonl"}}  # fmt: skip
    with pytest.raises(SpecError) as refused:
        spec_file.parse(raw)
    told = str(refused.value)
    assert "data.source holds what looks like a password or token" in told and "open-sesame" not in told
    assert "environment" in told
