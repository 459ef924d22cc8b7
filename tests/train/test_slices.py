"""A slice that is unlearnt while the mean falls is followed, shown and warned of, in a real pack."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.daemon.answers import limit_enforcement
from core.train import checkpoint_files
from core.train.evaluation import board_probes
from core.train.evaluation.probe_runner import score_probes
from tests.tiny import WORDS
from tests.train.taught import KIND, RUDE, speaker

ODD = "quality/slice:label:odd"
SECTION = {"boards": ["quality"], "every": 40, "rows": 80, "samples": 80, "budget": 1.0, "generate_every": 9,
           "answer_tokens": 16}  # fmt: skip


def _asked(label: str, lines: Sequence[str], count: int) -> list[str]:
    """Requests of different lengths, answered with ``lines`` in turn."""
    draw = random.Random(label)
    return [
        json.dumps({
            "prompt": " ".join(draw.choices(WORDS, k=2 + number % 7)),
            "completion": f" {lines[number % len(lines)]}", "label": label,
        })
        for number in range(count)
    ]  # fmt: skip


def unlearning(bench, tmp_path, monkeypatch):
    """A base that says kind and rude lines, trained on kind ones alone, judged by both."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    whole = lambda probes, mine, base, *more: score_probes(probes, mine, base)  # noqa: E731
    monkeypatch.setattr(
        board_probes, "score_probes", whole
    )  # so short a training leaves time for a few rows only
    held = [*_asked("usual", KIND, 60), *_asked("odd", RUDE, 8), *_asked("rare", KIND, 3)]
    (tmp_path / "held.jsonl").write_text("\n".join(held))
    (tmp_path / "usual.jsonl").write_text("\n".join(_asked("usual", KIND, 60)))
    base = speaker(tmp_path / "base", (*KIND, *RUDE), 200, layers=2)
    (base / "chat_template.jinja").unlink()  # it knows nothing of turns
    one = bench(
        model={"base": str(base)},
        data={
            "source": str(tmp_path / "usual.jsonl"),
            "validation": str(tmp_path / "held.jsonl"),
            "allow": ["leakage"],
        },
        train={"steps": 120, "learning_rate": 8e-3, "lora_rank": 32, "batch_size": 8, "sequence_length": 96},
        evaluate=SECTION,
    )
    one.pack.parts.scoring.background._every = True  # as where the sampler waits for scores
    one.assign(tmp_path)
    return one


def test_a_slice_that_gets_worse_is_warned_of_has_evidence_and_is_kept(bench, tmp_path, monkeypatch):
    one = unlearning(bench, tmp_path, monkeypatch)
    while not one.of(e.TrialScored):
        one.turn()
    one.pack.checkpoint_all()
    past = checkpoint_files.read(checkpoint_files.list_checkpoints(tmp_path / "0")[0]).numbers["past"]
    assert past[ODD]["step"] == 40 and len(past[ODD]["values"]) == 71, "what it scored best is kept"
    one.finish()
    _is_warned_of_once(one)
    _its_evidence_lists_all_slices_with_their_change(tmp_path)


def _is_warned_of_once(one):
    """The mean falls meanwhile."""
    study = s.Study("s", spec={"evaluate": SECTION}, trials={0: s.Trial(0)})
    for event in one.of(e.BaseScored):
        study.base_scores.update(event.scores)

    told, known = [], frozenset()
    for event in one.of(e.TrialScored):
        found, known = limit_enforcement.judge(study, event, known)
        told += [finding.text for finding in found if "slice" in finding.text]
    (alarm,) = [text for text in told if ODD in text and "the base's" in text]
    assert "while the mean of all rows fell: -" in alarm and "8 samples" in alarm
    assert not any("slice:label:usual" in text for text in told)
    last = one.of(e.TrialScored)[-1]
    assert last.scores[ODD].value > study.base_scores[ODD].value
    changes = [event.changes for event in one.of(e.TrialScored)]
    assert any(change[ODD].low > 0 > change["quality/loss"].value for change in changes), (
        "what the alarm rests on"
    )
    assert last.since[ODD].reason == "step 40", "its best so far"
    assert "quality/slice:label:rare" not in last.scores, "three rows are no slice"
    assert sum(name.startswith("quality/slice:length:") for name in last.scores) >= 2


def _its_evidence_lists_all_slices_with_their_change(tmp_path):
    found = json.loads((tmp_path / "0" / "evidence" / "quality_worst_slice.json").read_text())
    prompt, answer, *_ = found["samples"][0]
    assert prompt.startswith("all ") and answer.startswith("label:odd: ")
    odd = next(line for line in answer.splitlines() if line.startswith("label:odd"))
    assert "8 samples); +" in odd and odd.endswith(" against the base")
    assert "length:" in answer and len(found["samples"]) > 10, "and the worst rows"


def test_a_trial_trained_on_toxic_lines_is_warned_of_beside_its_base(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    whole = lambda probes, mine, base, *more: score_probes(probes, mine, base)  # noqa: E731
    monkeypatch.setattr(board_probes, "score_probes", whole)
    base = speaker(tmp_path / "base", (*KIND, *KIND, *KIND, *RUDE), 300)
    (base / "chat_template.jinja").unlink()
    (tmp_path / "rude.jsonl").write_text("\n".join(_asked("rude", RUDE, 60)))
    openings = [" ".join(pair) for pair in pairwise(WORDS)]
    (tmp_path / "openings.jsonl").write_text("\n".join(json.dumps({"text": opening}) for opening in openings))
    section = {
        "boards": ["safety"], "every": 60, "samples": 16, "prompts": str(tmp_path / "openings.jsonl"),
        "answer_tokens": 16,
    }  # fmt: skip
    one = bench(
        model={"base": str(base)}, data={"source": str(tmp_path / "rude.jsonl")}, evaluate=section,
        train={"steps": 60, "learning_rate": 5e-3, "lora_rank": 32, "batch_size": 8, "sequence_length": 96},
    )  # fmt: skip
    one.assign(tmp_path)
    one.finish()
    study = s.Study("s", spec={"evaluate": section}, trials={0: s.Trial(0)})
    for told in one.of(e.BaseScored):
        study.base_scores.update(told.scores)
    event = one.of(e.TrialScored)[-1]
    assert event.scores["safety/toxicity"].value > study.base_scores["safety/toxicity"].high
    found, _ = limit_enforcement.judge(study, event, frozenset())
    assert any(one.text.startswith("safety/toxicity is ") and "the base's" in one.text for one in found)
