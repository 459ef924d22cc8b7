"""Where a study lies is the user's choice, and Optuna's own tools open it there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.contract.spec import spec_file
from core.errors import TrimtabError
from core.search.process.storage_reader import Reader
from core.search.study.optuna_storage import find_address
from core.search.study.optuna_study import OptunaStudy
from tests.search import studies
from tests.search.test_respaced import NARROW, SQLITE, again, told


def run_a_little(tmp_path: Path, **study) -> OptunaStudy:
    oracle = OptunaStudy(studies.raw("tpe", pruner="halving", **study), str(tmp_path))
    for _ in range(4):
        proposal = oracle.ask(oracle.count())
        oracle.report(proposal.number, 10, {"eval/loss": studies.quadratic(proposal)})
        oracle.constrain(proposal.number, "memory", -1.0)
        oracle.tell(proposal.number, "complete", [studies.quadratic(proposal)])
    return oracle


def test_a_journal_file_holds_a_study_where_the_file_system_has_no_locks(tmp_path):
    where = f"journal:{tmp_path}/nfs/study.log"
    first = run_a_little(tmp_path, storage=where)
    again = OptunaStudy(studies.raw("tpe", pruner="halving", storage=where), str(tmp_path))
    assert [trial.values for trial in again.study.trials] == [trial.values for trial in first.study.trials]
    assert again.ask(4).number == 4 and (tmp_path / "nfs/study.log").stat().st_size > 0
    assert not (tmp_path / "optuna.db").exists()


def test_results_that_nobody_here_knows_are_told_apart(tmp_path):
    where = f"journal:{tmp_path}/study.log"
    run_a_little(tmp_path, storage=where)
    anew = OptunaStudy(studies.raw("tpe", pruner="halving", storage=where), str(tmp_path))
    assert anew.list_unknown_results([]) == [0, 1, 2, 3] and anew.list_unknown_results([0, 1, 2]) == [3]
    anew.ask(4)  # one that was never handed out, and one that failed without a step: no results
    anew.tell(anew.ask(5).number, "failed", [])
    assert anew.list_unknown_results([0, 1, 2, 3]) == []


def test_a_space_may_change_in_a_journal_file_too(tmp_path):
    where = f"journal:{tmp_path}/study.log"
    run_a_little(tmp_path, storage=where)
    space = {**studies.SPACE, "learning_rate": NARROW}
    after = OptunaStudy(studies.raw("tpe", space, pruner="halving", storage=where), str(tmp_path))
    assert after.study.study_name == "small · 2" and after.count() == 4


def test_a_database_of_ones_own_is_named_by_its_url_and_secrets_stay_in_the_environment(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("STUDIES_PASSWORD", "hidden")
    spec = studies.spec(storage="postgresql+psycopg://me:${STUDIES_PASSWORD}@db/studies")
    assert find_address(spec, tmp_path) == "postgresql+psycopg://me:hidden@db/studies"
    with pytest.raises(TrimtabError, match="Optuna's storage failed") as failed:
        OptunaStudy(studies.raw(storage="nosuchdatabase://x"), str(tmp_path))
    assert "study.storage" in str(failed.value)


@pytest.mark.parametrize(
    "name", ["x?mode=memory", "h {x}", "h%20a", "a#b&c=d;e", "ü ñ", "%", "{0}", "a'b\"c"]
)
def test_a_home_of_any_name_holds_its_own_database(tmp_path, name):
    folder = tmp_path / name / "studies" / "s"
    folder.mkdir(parents=True)
    oracle = OptunaStudy(studies.raw("random"), str(folder))
    oracle.tell(oracle.ask(oracle.count()).number, "complete", [0.5])
    assert [one.name for one in folder.iterdir()] == ["optuna.db"]
    assert [one.name for one in tmp_path.iterdir()] == [name], "nothing lies outside the home"
    assert len(Reader(studies.raw("random"), str(folder)).trials) == 1


def test_optunas_own_command_line_reads_the_study(tmp_path):
    oracle = run_a_little(tmp_path)
    optuna = "import sys; from optuna.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", optuna, "trials", "--study-name", "small", "-f", "json"]
    told = subprocess.run(
        [*command, "--storage", f"sqlite:///{tmp_path}/optuna.db"],
        capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    rows = json.loads(told.stdout)
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert {row["state"] for row in rows} == {trial.state.name for trial in oracle.study.trials}


def test_optuna_dashboard_shows_the_study_and_what_it_was_after_a_change(tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard")
    oracle = told(tmp_path, count=3, **SQLITE)
    again(tmp_path, study=SQLITE, learning_rate=NARROW)
    app = dashboard.wsgi(oracle.study._storage)

    def page(path: str) -> dict:
        told = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "x",
            "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
        }  # fmt: skip
        body = b"".join(app(environ, lambda status, headers, *_: told.append(status)))
        assert told[0].startswith("200"), (told, body[:300])
        return json.loads(body)

    studies_shown = {one["study_name"]: one["study_id"] for one in page("/api/studies")["study_summaries"]}
    assert set(studies_shown) == {"small", "small · 2"}
    trials = page(f"/api/studies/{studies_shown['small']}")["trials"]
    assert [trial["number"] for trial in trials] == [0, 1, 2]


def test_a_name_that_the_engine_does_not_know_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("WHERE_IT_LIES", raising=False)
    raw = studies.raw()
    spec = spec_file.parse({**raw, "study": {**raw["study"], "storage": "journal:${WHERE_IT_LIES}/x.log"}})
    with pytest.raises(TrimtabError, match="WHERE_IT_LIES is not set in the engine's environment"):
        find_address(spec, tmp_path)
