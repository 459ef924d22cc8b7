"""The fold: what the screen shows is what the journal says, whatever order things come in."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.state import best_and_counts, study_progress
from core.contract.state import engine_state as s
from core.contract.state.event_fold import STEPS, apply, explain_refusal
from core.contract.wire import console_api, message_codec, worker_api

SPEC = {"study": {"name": "a", "trials": 4, "objectives": [{"metric": "eval/loss", "direction": "minimize"}]}}
CREATED = e.StudyCreated(at=1.0, study="a", spec=SPEC, folder="/a")


def event(kind: type, **more) -> e.Event:
    """A trial event of ``kind`` with something in each field that it needs."""
    fields = {
        "step": 5, "total_steps": 10, "elapsed_s": 1.0, "metrics": {"eval/loss": 2.0}, "by": "me",
        "why": "so", "worker": "w", "device": "cpu", "params": {}, "knobs": {}, "error": "boom",
        "values": (2.0,), "retry": 1, "path": "step-5", "foretold_bytes": 7, "scores": {},
        "done": 3, "total": 9,
        "changes": {"clip_norm": (1.0, 0.5)} if kind is e.TrialEdited else {"clip_norm": 0.5},
    }  # fmt: skip
    fields |= {"changes": {}} if kind is e.TrialScored else {}
    taken = {name: value for name, value in fields.items() if name in kind.__struct_fields__}
    return kind(**{"at": 2.0, "study": "a", "trial": 0, **taken, **more})


def folded(*kinds: type | e.Event) -> s.State:
    state = apply(s.State(), CREATED)
    for kind in kinds:
        one = kind if isinstance(kind, e.Event) else event(kind)
        assert explain_refusal(state, one) is None
        state = apply(state, one)
    return state


RUNNING = (e.TrialQueued, e.TrialStarting, e.TrialRunning)


PENDING = (*RUNNING, event(e.TrialCompleted, scoring=5, values=(), why=""))


def test_scores_arrive_after_a_trial_is_complete():
    state = folded(*PENDING)
    assert trial_of(state).pending and trial_of(state).state == s.COMPLETE
    state = apply(state, event(e.TrialScoring))
    assert (trial_of(state).scoring_done, trial_of(state).scoring_total) == (3, 9)
    toxic = Score(0.5, 0.4, 0.6, 9)
    earlier = event(e.TrialScored, step=3, scores={"safety/toxicity": toxic})
    state = apply(state, earlier)
    assert trial_of(state).pending and trial_of(state).latest["safety/toxicity"] == 0.5
    less = event(e.TrialScored, step=4, scores={"safety/bias": toxic}, changes={"safety/bias": toxic})
    state = apply(state, less)
    assert trial_of(state).changes == {"safety/bias": toxic}
    state = apply(state, event(e.TrialScored, last=True, values=(0.25,), scores={"safety/bias": toxic}))
    assert not trial_of(state).changes, "the latest scoring of it was compared with nothing"
    assert not trial_of(state).pending and trial_of(state).values == (0.25,)
    assert explain_refusal(state, earlier) == "trial 0 is complete"


def test_scores_that_never_come_are_said_and_the_trial_stays_complete():
    state = folded(*PENDING, event(e.ScoringEnded, why="the study was stopped"))
    assert trial_of(state).state == s.COMPLETE and not trial_of(state).pending
    assert trial_of(state).why == "the study was stopped"
    assert explain_refusal(state, event(e.ScoringEnded))


@pytest.mark.parametrize("complete", [RUNNING + (e.TrialCompleted,), PENDING])
def test_finished_training_is_never_called_pruned_but_by_a_limit(complete):
    state = folded(*complete)
    assert explain_refusal(state, event(e.TrialPruned)) == "trial 0 is complete"
    assert explain_refusal(state, event(e.PruneAsked)) == "trial 0 is complete"
    assert trial_of(apply(state, event(e.TrialPruned, limit=True))).state == s.PRUNED


def trial_of(state: s.State) -> s.Trial:
    return state.studies["a"].trials[0]


@pytest.mark.parametrize(
    ("kinds", "ends"),
    [
        ((e.TrialQueued,), s.QUEUED),
        (RUNNING[:2], s.STARTING),
        (RUNNING, s.RUNNING),
        ((*RUNNING, e.PauseAsked), s.RUNNING),
        ((*RUNNING, e.PauseAsked, e.TrialPaused), s.PAUSED),
        ((*RUNNING, e.TrialPaused, e.TrialResumed), s.RUNNING),
        ((*RUNNING, e.TrialPaused, e.TrialPruned), s.PRUNED),
        ((*RUNNING[:2], e.PauseAsked, e.TrialPaused), s.PAUSED),  # while its worker loads the base
        ((*RUNNING[:2], e.TrialPaused, e.TrialRunning), s.PAUSED),
        ((*RUNNING[:2], e.TrialPaused, e.TrialResumed), s.STARTING),
        ((*RUNNING[:2], e.TrialPaused, e.TrialResumed, e.TrialRunning), s.RUNNING),
        ((*RUNNING, e.TrialRequeued, RUNNING[1], e.TrialPaused, e.TrialResumed), s.STARTING),
        ((*RUNNING, e.TrialCompleted), s.COMPLETE),
        ((*RUNNING, e.TrialFailed), s.FAILED),
        ((*RUNNING, e.TrialRequeued), s.QUEUED),
        ((e.TrialQueued, e.TrialInfeasible), s.INFEASIBLE),
    ],
)
def test_a_trial_goes_through_its_states(kinds, ends):
    assert trial_of(folded(*kinds)).state == ends


def test_asking_is_shown_until_the_worker_confirms():
    assert trial_of(folded(*RUNNING, e.PauseAsked)).asked == "pause"
    assert trial_of(folded(*RUNNING, e.PauseAsked, e.TrialPaused)).asked == ""
    assert trial_of(folded(*RUNNING, e.TrialPaused, e.ResumeAsked)).asked == "resume"
    assert trial_of(folded(*RUNNING, e.TrialPaused, e.ResumeAsked, e.TrialResumed)).asked == ""
    refused = event(e.TrialPaused, why="out of memory on cuda:0 when it resumed")
    assert trial_of(folded(*RUNNING, e.TrialPaused, e.ResumeAsked, refused)).asked == ""
    assert refused.title[0].endswith(": out of memory on cuda:0 when it resumed")


def test_a_contradiction_ends_with_what_the_worker_did():
    state = folded(*RUNNING, e.PauseAsked, e.ResumeAsked, event(e.TrialPaused, why=""))
    assert (trial_of(state).state, trial_of(state).asked) == (s.PAUSED, "resume")


def test_an_ended_trial_stays_ended():
    state = folded(*RUNNING, e.TrialCompleted)
    for kind in set(STEPS) - {e.TrialMarked}:  # a note may come later
        assert "complete" in (explain_refusal(state, event(kind)) or "")
        assert apply(state, event(kind)) is state


def test_a_study_is_paused_and_resumed_once():
    paused, resumed = e.StudyPaused(at=1.0, study="a", by="me"), e.StudyResumed(at=1.0, study="a", by="me")
    state = folded(*RUNNING)
    assert explain_refusal(state, resumed) == "the study is running"
    state = apply(state, paused)
    assert (state.studies["a"].state, state.studies["a"].why) == ("paused", "paused by me")
    assert (
        explain_refusal(state, paused) == "the study is paused"
        and study_progress.estimate_study_left_s(state.studies["a"], 9) is None
    )
    state = apply(state, resumed)
    assert (state.studies["a"].state, state.studies["a"].why) == ("running", "")


def test_a_stop_that_meets_the_end_does_not_undo_it():
    ended = e.StudyEnded(at=3.0, study="a", outcome="complete", why="all done")
    stopping = e.StudyStopping(at=3.0, study="a", why="stopped by me")
    state = folded(*RUNNING, ended)
    assert explain_refusal(state, stopping) == explain_refusal(state, ended) == "the study is complete"
    assert apply(state, stopping) is state


def test_readings_update_the_curves_and_the_latest_numbers():
    state = folded(*RUNNING, event(e.TrialReported, step=1, metrics={"train/loss": 3.0}), e.TrialEvaluated)
    trial = trial_of(state)
    assert trial.latest == {"train/loss": 3.0, "eval/loss": 2.0}
    assert trial.series["train/loss"].steps == (1,)
    assert trial.step == 5


def test_a_requeued_trial_forgets_the_steps_after_its_checkpoint():
    reports = [event(e.TrialReported, step=step, metrics={"train/loss": 1.0}) for step in range(1, 9)]
    state = folded(*RUNNING, *reports[:4], event(e.TrialCheckpointed, step=4), *reports[4:], e.TrialRequeued)
    trial = trial_of(state)
    assert trial.step == 4
    assert trial.series["train/loss"].steps == (1, 2, 3, 4)
    again = apply(apply(state, event(e.TrialStarting)), event(e.TrialRunning, step=4))
    assert trial_of(apply(again, reports[4])).series["train/loss"].steps[-1] == 5


def pack(**more) -> e.PackMeasured:
    fields = {
        "worker": "w", "device": "gpu0", "trials": 2, "tokens": 900, "round_s": 0.1, "base_bytes": 1 << 30,
        "trial_bytes": {0: 1 << 20, 3: 2 << 20}, "activation_bytes_per_token": 2e5, "used_bytes": 2 << 30,
        "free_bytes": 6 << 30, "total_bytes": 8 << 30,
    }  # fmt: skip
    return e.PackMeasured(**{"at": 3.0, "study": "a", **fields, **more})


def test_what_each_worker_holds_is_known_until_it_leaves():
    state = folded(pack(), pack(worker="v", trials=4), pack(trials=3, why_alone="no\x1b[2J"))
    assert {name: one.trials for name, one in state.studies["a"].packs.items()} == {"v": 4, "w": 3}
    assert "\x1b" not in state.studies["a"].packs["w"].why_alone
    assert list(apply(state, pack(trials=0)).studies["a"].packs) == ["v"]


def test_what_workers_held_is_forgotten_with_the_study():
    ended = e.StudyEnded(at=4.0, study="a", outcome="complete", why="done")
    state = folded(pack(), ended, pack(worker="late"))
    assert state.studies["a"].packs == {}


def test_what_a_worker_holds_travels_in_every_form():
    state, told = folded(pack()), worker_api.Told(1, pack())
    assert message_codec.read_to_console(message_codec.encode(console_api.Snapshot(1, state))).state == state
    assert message_codec.read_from_worker(message_codec.encode(told)) == told
    assert msgspec.json.decode(msgspec.json.encode(state), type=s.State) == state


def test_events_tell_their_reason_in_the_list():
    lines = [
        line.text
        for line in folded(*RUNNING, event(e.TrialPruned, why="worse than the median")).studies["a"].lines
    ]
    assert lines[-1] == "trial 0 pruned at step 5: worse than the median"


def test_text_from_a_worker_cannot_reach_the_terminal():
    state = folded(*RUNNING, event(e.TrialFailed, error="\x1b]0;owned\x07[red]"))
    assert "\x1b" not in state.studies["a"].lines[-1].text


def test_the_list_of_events_is_bounded():
    notes = [e.StudyNoted(at=1.0, study="a", text=str(number)) for number in range(3 * s.LINES)]
    lines = folded(*notes).studies["a"].lines
    assert len(lines) == s.LINES and lines[-1].text == str(3 * s.LINES - 1)


def test_a_machine_without_readings_is_a_value():
    read = e.MachineRead(at=1.0, devices=(e.Device(0, "card"),), why_none="")
    machine = apply(s.State(), read).machine
    assert machine.past["0"].used == (None,)


def test_every_trial_event_has_its_step():
    kinds = set(e.TrialEvent.__subclasses__()) - {e.TrialQueued}
    assert kinds == set(STEPS)


def test_the_best_trial_and_the_front():
    def done(number: int, *values: float) -> list[e.Event]:
        kinds = (*RUNNING, e.TrialCompleted)
        return [
            event(kind, trial=number, **({"values": values} if kind is e.TrialCompleted else {}))
            for kind in kinds
        ]

    state = folded(*done(0, 3.0), *done(1, 2.0), *done(2, 2.5))
    assert best_and_counts.find_best(state.studies["a"]).number == 1
    both = [*SPEC["study"]["objectives"], {"metric": "eval/accuracy", "direction": "maximize"}]
    two = {"study": {**SPEC["study"], "objectives": both}}
    state = apply(s.State(), e.StudyCreated(at=1.0, study="a", spec=two, folder="/a"))
    for one in (*done(0, 3.0, 0.9), *done(1, 2.0, 0.5), *done(2, 3.5, 0.8)):
        state = apply(state, one)
    assert [trial.number for trial in best_and_counts.find_front(state.studies["a"])] == [1, 0]


KINDS = [e.TrialQueued, *STEPS]
OF_STUDY = [
    e.StudyPaused(at=3.0, study="a", by="me"), e.StudyResumed(at=3.0, study="a", by="me"),
    e.StudyStopping(at=3.0, study="a", why="so"), e.StudyReopened(at=3.0, study="a", why="so", trials=9),
    e.StudyNoted(at=3.0, study="a", text="a word"), CREATED, e.StudyNoted(at=3.0, study="nobody's", text="?"),
    e.StudyChanged(at=3.0, study="a", by="me", spec=SPEC, changes=("study.trials: 3 → 4",)),
    e.RatingGiven(at=3.0, study="a", by="me", left=0, right=1, choice="tie", strengths={0: Score(0.0)}),
    *(e.StudyEnded(at=3.0, study="a", outcome=one, why="so") for one in ("complete", "stopped", "failed")),
]  # fmt: skip
OF_THE_MOMENT = [
    e.Preparing(at=4.0, study="a", worker="w", stage="loading"), pack(), pack(trials=0),
    e.MachineRead(at=4.0, devices=(e.Device(0, "card"),)),
]  # fmt: skip


def kept(state: s.State) -> s.Study:
    """What a journal holds of the picture."""
    return msgspec.structs.replace(state.studies["a"], packs={}, preparing={})


class AnyOrder(RuleBasedStateMachine):
    """Random legal and illegal events for a few trials."""

    def __init__(self) -> None:
        super().__init__()
        self.state = apply(s.State(), CREATED)
        self.journal: list[e.Event] = [CREATED]

    @rule(kind=st.sampled_from(KINDS), trial=st.integers(0, 2), step=st.integers(0, 20))
    def happens(self, kind, trial, step):
        fields = {"step": step} if "step" in kind.__struct_fields__ else {}
        self.happens_as_it_may(event(kind, trial=trial, **fields))

    @rule(one=st.sampled_from(OF_STUDY))
    def something_of_the_study(self, one):
        self.happens_as_it_may(one)

    @rule(one=st.sampled_from(OF_THE_MOMENT))
    def something_that_is_not_kept(self, one):
        self.state = apply(self.state, one)

    def happens_as_it_may(self, one):
        refused = explain_refusal(self.state, one)
        after = apply(self.state, one)
        assert (after is self.state) == bool(refused)
        if not refused:
            self.journal.append(one)
        self.state = after

    @invariant()
    def the_journal_gives_the_state_back(self):
        state = s.State()
        for one in self.journal:
            state = apply(state, one)
        assert kept(state) == kept(self.state)

    @invariant()
    def a_study_has_an_end_when_it_lives_no_more(self):
        study = self.state.studies["a"]
        assert (study.ended_at is None) == (study.state in s.LIVE_STUDY)
        assert study.state in s.LIVE_STUDY or not (study.packs or study.preparing)

    @invariant()
    def ended_trials_ask_for_nothing(self):
        for trial in self.state.studies["a"].trials.values():
            assert not (trial.state in s.ENDED and trial.asked)
            assert (trial.ended_at is not None) == (trial.state in s.ENDED)

    @invariant()
    def it_travels(self):
        raw = message_codec.encode(console_api.Snapshot(1, self.state))
        assert message_codec.read_to_console(raw).state == self.state


AnyOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
