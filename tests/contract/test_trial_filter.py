"""The filter of trials reads names, numbers and states, and says where it does not understand."""

import pytest

from core.contract.events import event_types as e
from core.contract.views.trials.filter_completion import complete_filter, drop_unfinished
from core.contract.views.trials.trial_fields import list_fields
from core.contract.views.trials.trial_filter import Context, FilterFault, parse_filter
from tests.tui.explored import explored_study
from tests.tui.scene import NOW, state_of, study_events
from tests.tui.scored import scored_study

STUDY = state_of(
    study_events(),
    [
        e.TrialMarked(at=NOW, study="tidy-7b", trial=2, by="ada", starred=True, note="keep r=8 in mind"),
    ],
).studies["tidy-7b"]
SCORED = state_of(scored_study()).studies["tidy-7b"]
EXPLORED = state_of(explored_study()).studies["tidy-7b"]


def found(text, study=STUDY, **context):
    context = Context(study, **context)
    return [
        trial.number for trial in study.trials.values() if parse_filter(study, text).matches(context, trial)
    ]


def knobs(name, study=STUDY):
    return {trial.number: trial.knobs[name] for trial in study.trials.values()}


def test_a_knob_is_compared_as_a_number_and_not_as_a_text():
    ranks = knobs("lora_rank")
    assert found("r=8") == found("lora_rank=8") == [number for number, rank in ranks.items() if rank == 8]
    rates = knobs("learning_rate")
    assert found("lr<1e-4") == [number for number, rate in rates.items() if rate < 1e-4]
    assert found("lr < 1e-4") == found("lr<1e-4"), "spaces around the sign"
    some = next(number for number, rate in rates.items() if "8" in f"{rate:.4g}" and ranks[number] != 8)
    assert some not in found("r=8"), "an 8 in the learning rate is no rank 8"


def test_an_equal_number_is_the_one_that_the_table_shows():
    rate = STUDY.trials[0].knobs["learning_rate"]
    assert found(f"lr={rate:.2e}") == [0]
    assert found(f"lr={rate * 1.02:.2e}") == []
    assert found("r=8,16") == sorted(found("r=8") + found("r=16"))
    assert found("lr:1e-5..1e-4") == found("lr>=1e-5 lr<=1e-4")


def test_metrics_are_compared_by_their_best_their_last_or_their_smoothed_value():
    values = {n: t.values[0] for n, t in STUDY.trials.items() if t.values}
    border = sorted(values.values())[1]
    assert set(found(f"loss<={border} state:complete")) == {n for n in values if values[n] <= border}
    assert found("eval/loss.last<9") == found("step>=20"), "every evaluated trial has a last value"
    assert set(found("train/loss.smooth<9")) == set(found("step>0"))
    assert found("loss<99 number=9") == [], "without a value there is nothing to compare"
    biased = {
        n
        for n, t in SCORED.trials.items()
        if "safety/bias" in t.scores and t.scores["safety/bias"].value > 0.1
    }
    assert set(found("bias>0.1", SCORED)) == biased and biased


def test_states_words_and_signs():
    assert found("state:running") == found("running") == found("state=run") == [6, 7]
    assert found("state:paused,queued") == found("paused | queued") == [5, 9]
    assert found("*") == found("starred") == [2] == found("noted")
    assert found("#3") == found("3") == [3]
    assert found("best", best=4) == [4] and found("marked", marked=frozenset({1, 5})) == [1, 5]
    assert found('"in mind"') == found("note:mind") == [2]
    assert found("step>100 progress<50%") == [
        n for n, t in STUDY.trials.items() if t.step > 100 and t.step < 200
    ]
    assert found("elapsed>5m") == [n for n, t in STUDY.trials.items() if t.elapsed_s > 300]


@pytest.mark.parametrize("sign", ["!", "-"])
def test_a_sign_before_a_word_negates_it(sign):
    rest = set(STUDY.trials)
    assert set(found(f"{sign}running")) == rest - {6, 7}
    assert set(found(f"{sign}r=8")) == rest - set(found("r=8"))
    assert set(found("state!=running")) == rest - {6, 7}
    assert set(found("r!=8,16")) == rest - set(found("r=8,16"))


@pytest.mark.parametrize(
    ("text", "at", "told"),
    [
        ("running lrr<1", 8, "no knob or metric is called 'lrr'"),
        ("running lr<", 11, "a value is missing after lr<"),
        ("lr<fast", 3, "'fast' is not a number to compare learning_rate with"),
        ("state:rnning", 6, "no state is called 'rnning'; there are queued, starting, running"),
        ("opt<adamw", 4, "optimizer is text: compare it with =, : or !="),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text, at, told):
    with pytest.raises(FilterFault) as fault:
        parse_filter(STUDY, text)
    assert fault.value.at == at and told in fault.value.text


def test_names_are_completed():
    for typed, wanted in [
        ("st", "state:"),
        ("lr<1 state:ru", "lr<1 state:running"),
        ("state:running,pa", "state:running,paused"),
        ("!lear", "!learning_rate"),
        ("eval/l", "eval/loss"),
        ("eval/loss.s", "eval/loss.smooth"),
        ("opt=adamw-", "opt=adamw-8bit"),
    ]:
        assert complete_filter(STUDY, typed) == wanted
    assert complete_filter(STUDY, "lr") is None and complete_filter(STUDY, "zzz") is None
    assert complete_filter(STUDY, "lr<1") is None and complete_filter(STUDY, "") is None


def test_a_name_that_is_being_typed_hides_nothing_yet():
    for typed in ("l", "lr", "lo", "loss", "eval/l", "st", "state"):
        assert drop_unfinished(STUDY, f"running {typed}") == "running "
    for whole in ("running", "run", "best", "star", "lr<1", "zzz", "state:", "", "12"):
        assert drop_unfinished(STUDY, whole) == whole


def test_all_that_trials_have_is_listed_once():
    names = [field.name for field in list_fields(SCORED)]
    assert len(names) == len(set(names))
    assert {"number", "learning_rate", "optimizer", "eval/loss.best", "safety/bias.last"} <= set(names)
