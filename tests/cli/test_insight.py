"""`trimtab insight` says what the insight screen says."""

from __future__ import annotations

import json

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.wire import console_api
from core.store import run_folder
from core.store.journal_file import Journal
from tests.cli import studies
from tests.search import studies as searched
from tests.search.test_insights import SPACE, quadratic, run
from tests.tui import explored


@pytest.fixture
def running(engine):
    stopped = e.TrialPruned(at=120.0, study="small", trial=1, step=10, why="median pruner: worse")
    engine.state = studies.state(
        studies.created(), *studies.trial(0, studies.completed(0, 1.5)), *studies.trial(1, stopped)
    )
    engine.reply = lambda request: console_api.Reply(0, True, answer=explored.answers(request))
    return engine


def test_shares_sampler_and_stops_are_printed(running, capsys):
    assert main(["insight"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "small: running, 2 of 3 trials ended" in shown
    assert "importance for eval/loss, by ped-anova\n  learning_rate             71.0 %  █████" in shown
    assert "shares of what sets the best 13 % apart from all trials; 38 trials, 20 of them stopped" in shown
    assert "  learns from     38 trials: 18 complete, 20 stopped early" in shown
    assert "1 complete, 1 pruned, 0 failed, 0 infeasible; pruning saved 30 of 80 steps" in shown
    assert "bracket 0, rung 0, step 20  30 in: 8 promoted, 1 running, 21 stopped" in shown
    assert "trial 1     pruned     step 10 of 40             –  median pruner: worse" in shown
    assert running.asked == [
        console_api.AskImportance("small", "ped-anova"),
        console_api.AskSearch("small"),
    ]


def test_json_has_the_same_as_numbers(running, capsys):
    assert main(["insight", "small", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["importance"]["shares"]["learning_rate"] == 0.71 and found["importance"]["early"] == 20
    assert found["counts"] == {"complete": 1, "pruned": 1, "failed": 0, "infeasible": 0}
    assert found["rungs"][0]["entries"][0] == {"trial": 0, "value": 2.0, "fate": "promoted"}
    assert found["stopped"] == [
        {
            "trial": 1, "state": "pruned", "step": 10, "total_steps": 40, "value": None,
            "why": "median pruner: worse",
        }
    ]  # fmt: skip
    assert found["front"] == [0] and found["objective"]["direction"] == "minimize"


def test_a_method_without_its_library_says_which(running, capsys):
    assert main(["insight", "--method", "fanova"]) == exit_codes.OK
    assert "none: fanova needs scikit-learn: pip install scikit-learn" in capsys.readouterr().out
    assert main(["insight", "nobody"]) == exit_codes.BAD_INPUT


@pytest.mark.filterwarnings("ignore")
def test_a_study_that_has_ended_is_read_from_its_files_without_an_engine(home, capsys):
    spec = searched.spec("random", SPACE)
    folder = run_folder.create("small", "")
    run(folder, spec, 30, quadratic)
    journal = Journal.open(run_folder.journal_path(folder))
    list(journal.replay())
    journal.append([
        e.StudyCreated(at=1.0, study="small", spec=spec_file.convert_to_raw(spec), folder=str(folder)),
        e.StudyEnded(at=2.0, study="small", outcome="complete", why="all trials are done"),
    ])  # fmt: skip
    assert main(["insight", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert (
        next(iter(found["importance"]["shares"])) == "learning_rate" and found["importance"]["trials"] == 30
    )
    assert found["sampler"]["sampler"].startswith("random") and found["state"] == "complete"
