"""A replay in bulk gives what one event after the other gives."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.store.journal_replay import replay_all

CREATED = e.StudyCreated(
    at=0.0, study="s", spec={"study": {"name": "s", "trials": 3, "objectives": []}}, folder="/s"
)
TRIALS = st.integers(0, 1)
STEPS = st.integers(0, 60)
METRICS = st.dictionaries(st.sampled_from(["train/loss", "eval/loss"]), st.floats(-5, 5), max_size=2)
BASE = {"at": st.just(1.0), "study": st.just("s"), "trial": TRIALS}
NOTES = st.sampled_from([(), ("clipped",)])
EVENTS = st.one_of(
    st.builds(e.TrialReported, **BASE, step=STEPS, elapsed_s=st.floats(0, 9), metrics=METRICS, notes=NOTES),
    st.builds(e.TrialEvaluated, **BASE, step=STEPS, elapsed_s=st.floats(0, 9), metrics=METRICS),
    st.builds(e.TrialQueued, **BASE, params=st.just({}), knobs=st.just({})),
    st.builds(e.TrialStarting, **BASE, worker=st.just("w"), device=st.just("cpu")),
    st.builds(e.TrialRunning, **BASE, step=st.just(0), total_steps=st.just(60)),
    st.builds(e.TrialRequeued, **BASE, why=st.just("lost"), retry=st.just(1)),
    st.builds(e.TrialCheckpointed, **BASE, step=STEPS, path=st.just("/c")),
    st.builds(e.TrialPaused, **BASE, step=STEPS),
    st.builds(e.TrialCompleted, **BASE, step=STEPS, values=st.just((1.0,))),
    st.builds(e.StudyNoted, at=st.just(1.0), study=st.just("s"), text=st.just("word")),
)


def started(trial: int) -> list[e.Event]:
    base = {"at": 0.5, "study": "s", "trial": trial}
    return [
        e.TrialQueued(**base, params={}, knobs={}),
        e.TrialStarting(**base, worker="w", device="cpu"),
        e.TrialRunning(**base, step=0, total_steps=60),
    ]


def one_by_one(events: list[e.Event]) -> State:
    state = State()
    for event in events:
        state = apply(state, event)
    return state


@given(st.lists(EVENTS, max_size=60))
@settings(max_examples=150, deadline=None)
def test_bulk_is_the_same_as_one_by_one(events):
    whole = [CREATED, *started(0), *started(1), *events]
    assert replay_all([whole]) == one_by_one(whole)


def test_curves_that_are_thinned_are_the_same_too():
    readings = [
        e.TrialReported(
            at=1.0, study="s", trial=0, step=step, elapsed_s=step / 10, metrics={"train/loss": 1 / step}
        )
        for step in range(1, 2500)
    ]
    for count in (1, 512, 513, 514, 1026, 2499):
        whole = [CREATED, *started(0), *readings[:count]]
        assert replay_all([whole]) == one_by_one(whole)
