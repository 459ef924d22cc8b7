"""What the search is told when a study is taken up, and what is shown while it does not answer."""

import asyncio
from types import SimpleNamespace

import pytest

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.daemon.study import request_checks
from core.daemon.study import trial_proposals as module
from core.daemon.study.trial_proposals import SearchConversation
from core.daemon.workers import trial_requeue
from core.errors import RefusedError, TrimtabError
from core.search.search_pipe_messages import Proposal
from tests.daemon.conftest import raw_study

SPEC = spec_file.parse(raw_study())


def taken_up(*events: e.Event) -> s.State:
    state = apply(s.State(), e.StudyCreated(at=1.0, study="s", spec=raw_study(), folder="/s"))
    for event in events:
        state = apply(state, event)
    return state


def trained(number: int, step: int, total: int = 20, **queued) -> list[e.Event]:
    """A trial that has been evaluated every five steps up to ``step``."""
    base = {"at": 2.0, "study": "s", "trial": number}
    evaluated = [
        e.TrialEvaluated(**base, step=one, elapsed_s=1.0, metrics={"eval/loss": 5.0 - one / 10})
        for one in range(5, step + 1, 5)
    ]
    return [
        e.TrialQueued(**base, params={}, knobs={}, **queued),
        e.TrialStarting(**base, worker="w", device="cpu"),
        e.TrialRunning(**base, step=0, total_steps=total),
        *evaluated,
        e.TrialReported(**base, step=step, elapsed_s=1.0, metrics={"train/loss": 1.0}),
    ]


class Search:
    """Opens when it is let."""

    def __init__(self) -> None:
        self.may_open, self.told, self.strange, self.loaded = asyncio.Event(), [], [], True

    async def open(self) -> None:
        await self.may_open.wait()

    async def list_unknown_results(self, known) -> list[int]:
        return [one for one in self.strange if one not in known]

    async def reconcile(self, trials, readings=None) -> None:
        self.told.append((trials, readings))


class Picture:
    """The state as it is, and a ``put`` that changes it at once."""

    def __init__(self, state: s.State) -> None:
        self.state = state

    def put(self, *events: e.Event) -> asyncio.Future:
        for event in events:
            self.state = apply(self.state, event)
        done = asyncio.get_running_loop().create_future()
        done.set_result([])
        return done

    def proposing(self, search: Search) -> SearchConversation:
        return SearchConversation(SPEC, search, SimpleNamespace(), self.put, lambda: self.state.studies["s"])


async def test_all_readings_of_the_objective_are_told_again_when_a_study_is_taken_up():
    search, picture = (
        Search(),
        Picture(taken_up(*trained(0, 10), *trained(1, 5), *trained(2, 5, counted=False))),
    )
    search.may_open.set()
    await picture.proposing(search).open()
    ((trials, readings),) = search.told
    assert set(trials) == {0, 1, 2} and readings == {0: ((5, 10), (4.5, 4.0)), 1: ((5,), (4.5,))}


async def test_a_storage_that_does_not_answer_is_shown_while_it_does_not(monkeypatch):
    monkeypatch.setattr(module, "LATE_S", 0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    monkeypatch.setattr(module, "LOCKED_S", 0.05)
    search, picture = Search(), Picture(taken_up())
    search.loaded = False
    opening = asyncio.create_task(picture.proposing(search).open())
    for _ in range(5):
        await asyncio.sleep(0.001)
    (wait,) = picture.state.studies["s"].preparing.values()
    assert wait.stage == "loading Optuna", "a library that loads slowly is no locked storage"
    assert not picture.state.studies["s"].lines[1:]
    search.loaded = True
    for _ in range(5):
        await asyncio.sleep(0.001)
    (wait,) = picture.state.studies["s"].preparing.values()
    assert wait.stage == "opening Optuna's storage", "a busy machine takes seconds for it"
    assert not picture.state.studies["s"].lines[1:]
    while len(picture.state.studies["s"].lines) < 2:
        await asyncio.sleep(0.001)
    (wait,) = picture.state.studies["s"].preparing.values()
    assert wait.stage == "waiting for Optuna's storage: another program may hold it locked"
    assert "Optuna's storage has not answered for 0.05 s" in picture.state.studies["s"].lines[-1].text
    search.may_open.set()
    await opening
    assert not picture.state.studies["s"].preparing


async def test_a_storage_with_results_of_another_study_of_this_name_is_refused_or_told():
    search = Search()
    search.may_open.set()
    search.strange = [0, 1, 2]
    with pytest.raises(TrimtabError, match="holds 3 trials with results under the name 's'") as told:
        await Picture(taken_up()).proposing(search).open()
    assert "take another study.name" in told.value.problems[0].fix
    picture = Picture(taken_up(*trained(0, 10)))  # it has trials of its own there already
    await picture.proposing(search).open()
    assert "holds 2 trials with results" in picture.state.studies["s"].lines[-1].text and search.told


async def test_a_proposal_that_repeats_a_trial_is_told():
    async def ask() -> Proposal:
        return proposals.pop(0)

    knobs = {"lora_rank": 8, "seed": 0}
    proposals = [Proposal(0, knobs, knobs, "tpe"), Proposal(1, {}, {**knobs, "seed": 1}, "tpe")]
    proposals.append(Proposal(2, knobs, dict(knobs), "tpe"))
    picture = Picture(taken_up())
    weighing = SimpleNamespace(check_proposal=lambda *_: asyncio.sleep(0))
    proposing = SearchConversation(
        SPEC, SimpleNamespace(ask=ask), weighing, picture.put, lambda: picture.state.studies["s"]
    )
    for _ in range(3):
        assert await proposing.next()
    told = [line.text for line in picture.state.studies["s"].lines if "repeats" in line.text]
    assert told == ["trial 2 repeats trial 0's knobs: the sampler proposed the same again"]


# -- trials that have done their steps ---------------------------------------------------------------


def ended(*events: e.Event) -> s.Trial:
    """What a stop makes of trial 0."""
    state = taken_up(*events)
    study = state.studies["s"]
    return (
        apply(state, trial_requeue.end_trial(study, study.trials[0], "stopped by me")).studies["s"].trials[0]
    )


LOST = e.TrialRequeued(at=3.0, study="s", trial=0, why="its worker is gone", retry=1)


def test_a_trial_whose_steps_are_done_is_complete_when_the_study_stops_before_its_adapter_is_saved():
    kept = e.TrialCheckpointed(at=3.0, study="s", trial=0, step=20, path="/s/trials/0/step-20")
    for events in ([*trained(0, 20), kept, LOST], [*trained(0, 20), kept]):
        trial = ended(*events)
        assert (trial.state, trial.values) == (s.COMPLETE, (3.0,))
        assert trial.why == (
            "all 20 steps done, but its adapter was not saved; its checkpoint is kept: stopped by me"
        )


def test_a_trial_with_steps_or_a_value_to_come_is_pruned():
    assert ended(*trained(0, 15)).state == s.PRUNED
    assert ended(*trained(0, 20), LOST).state == s.PRUNED, "its steps are lost with its worker"
    assert ended(*trained(0, 17, total=17)).state == s.PRUNED, "not evaluated at its last step"


# -- a file that asks for other trials ---------------------------------------------------------------


def test_fewer_trials_than_are_planned_are_refused_in_words_and_trials_by_hand_are_on_top():
    study = taken_up(e.TrialQueued(at=2.0, study="s", trial=0, params={}, knobs={}, by="me")).studies["s"]
    request_checks.check_trial_count(study, 3)
    try:
        request_checks.check_trial_count(study, 2)
    except RefusedError as error:
        assert error.problems[0].what == "study.trials = 2, and 3 trials are planned already"
        assert "`trimtab change study.trials=2`" in error.problems[0].fix
    else:
        raise AssertionError("not refused")


def test_only_a_study_that_ended_without_a_step_may_be_created_a_second_time():
    again = e.StudyCreated(at=9.0, study="s", spec=raw_study(train={"steps": 7}), folder="/s")
    over = e.StudyEnded(at=3.0, study="s", outcome="failed", why="no such base")
    fresh = apply(taken_up(over), again).studies["s"]
    assert (fresh.state, fresh.spec["train"]["steps"], fresh.trials) == ("running", 7, {})
    assert apply(taken_up(*trained(0, 5), over), again).studies["s"].created_at == 1.0
    assert apply(taken_up(), again).studies["s"].created_at == 1.0
