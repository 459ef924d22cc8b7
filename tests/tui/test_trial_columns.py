"""The columns of the trial table: what fits, one format for each, one scale for all curves."""

import msgspec
import pytest
from rich.cells import cell_len

from core.contract.events import event_types as e
from core.contract.state import best_and_counts
from core.contract.state.thinned_series import Series
from core.contract.wire.memory_forecast import Verdict
from tests.tui.explored import explored_study
from tests.tui.scene import NOW, state_of, study_events
from tests.tui.scored import scored_study
from tests.tui.steered import steered_study
from tui.column_format import format_scientific
from tui.study_table.column_widths import ColumnMeasures, find_common_scale
from tui.study_table.table_choice import TableChoice, list_all_columns
from tui.study_table.trial_columns import RowView, choose_columns, describe_wait, list_chosen_keys

PLAIN = TableChoice()
STUDIES = {
    name: state_of(events).studies["tidy-7b"]
    for name, events in {
        "plain": study_events(),
        "steered": steered_study(),
        "scored": scored_study(),
        "explored": explored_study(),
        "two": explored_study(objectives=2),
        "infeasible": [
            *study_events(),
            e.TrialInfeasible(at=NOW, study="tidy-7b", trial=9, why="too large"),
        ],
    }.items()
}


def drawn(study, width, choice=PLAIN):
    """The columns, and for each the text of every trial."""
    measures = ColumnMeasures(study, list_chosen_keys(study, choice.columns))
    measures.take(study, study.trials.values())
    measures.fit_scales(study.trials)
    made = choose_columns(study, measures, choice, width)
    texts = {
        column.key: {
            number: "".join(text for text, _ in column.draw(RowView(study, trial)))
            for number, trial in study.trials.items()
        }
        for column in made
    }
    return made, texts


def column(name, key, width=300, **choice):
    study = STUDIES[name]
    choice = TableChoice(columns=tuple(choice.pop("columns", (key,))), **choice)
    return drawn(study, width, choice)[1][key]


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("width", [40, 60, 80, 110, 120, 200])
def test_no_head_and_no_cell_is_cut(name, width):
    made, texts = drawn(STUDIES[name], width)
    assert sum(column.width + 2 for column in made) <= width + 1
    for column in made:
        assert len(column.label) <= column.width, column.key
        for text in texts[column.key].values():
            assert cell_len(text) <= column.width, (column.key, text)


@pytest.mark.parametrize("name", STUDIES)
def test_every_column_that_can_be_chosen_can_be_drawn_uncut(name):
    study = STUDIES[name]
    every = list_all_columns(
        study, ["eval/loss", "train/loss", "safety/bias", "quality/bleu"], ["optimizer", "seed"]
    )
    made, texts = drawn(study, 2000, TableChoice(columns=tuple(every)))
    assert {column.key for column in made} >= set(every) - {"signs"}
    cells = [(column, text) for column in made for text in texts[column.key].values()]
    assert not [(column.key, text) for column, text in cells if cell_len(text) > column.width]


def test_the_sign_of_one_trial_does_not_throw_the_curves_out_at_80_columns():
    keys = [column.key for column in drawn(STUDIES["steered"], 80)[0]]
    assert {"signs", "curve:train/loss", "left", "learning_rate", "eval/loss.best"} <= set(keys)
    signs = drawn(STUDIES["steered"], 80)[1]["signs"]
    assert signs[4] == "*¶" and signs[9] == "@+" and max(map(len, signs.values())) <= 3


def test_every_objective_has_its_column_before_the_knobs_at_80_columns():
    keys = [column.key for column in drawn(STUDIES["two"], 80)[0]]
    assert {"eval/loss.best", "quality/bleu.best", "learning_rate"} <= set(keys)


def test_learning_rates_rank_by_eye():
    texts, study = column("plain", "learning_rate"), STUDIES["plain"]
    assert len({len(text) for text in texts.values()}) == 1, "all alike"
    read = {number: text.split("e") for number, text in texts.items()}
    by_eye = sorted(texts, key=lambda number: (int(read[number][1]), read[number][0]))
    assert by_eye == sorted(texts, key=lambda number: study.trials[number].knobs["learning_rate"])
    assert format_scientific(4.885e-4) == "4.88e-4" or format_scientific(4.885e-4) == "4.89e-4"
    assert format_scientific(0.0) == "0" and format_scientific(12.0) == "1.20e1"


@pytest.mark.parametrize("key", ["lora_dropout", "eval/loss.best", "eval/loss.smooth", "eval/accuracy.last"])
def test_the_points_of_a_column_stand_below_each_other(key):
    texts = [text.rstrip() for text in column("plain", key).values() if "." in text]
    assert len({len(text.partition(".")[2]) for text in texts}) == 1 and len(texts) > 1


def test_an_interval_stands_beside_its_value():
    texts, study = column("scored", "safety/toxicity.last"), STUDIES["scored"]
    trial = next(trial for trial in study.trials.values() if "safety/toxicity" in trial.scores)
    score = trial.scores["safety/toxicity"]
    assert texts[trial.number].split() == [
        f"{100 * score.value:.1f}%",
        f"±{100 * (score.high - score.low) / 2:.1f}%",
    ]
    assert "±" not in "".join(column("plain", "eval/loss.best").values()), "none is known"


def test_time_left_and_time_spent_are_two_columns():
    left, spent = column("plain", "left"), column("plain", "elapsed")
    for number, trial in STUDIES["plain"].trials.items():
        if trial.state in ("complete", "pruned", "failed"):
            assert not left[number].strip() and spent[number].strip()
    assert left[6] == "2m52s" and spent[6] == "5m42s"


def test_the_last_value_is_shown_as_its_distance_from_the_best():
    study = STUDIES["plain"]
    worse = study.trials[6].latest | {"eval/loss": study.trials[6].latest["eval/loss"] + 0.25}
    changed = study_with(study, 6, latest=worse)
    texts = drawn(changed, 300, TableChoice(columns=("now",)))[1]["now"]
    assert texts[6] == "+0.250" and texts[5] == "=", "a value at its best is not told twice"


def test_a_trial_is_compared_with_the_best_one_which_says_so():
    study = STUDIES["plain"]
    made, _ = drawn(study, 200)
    column = next(column for column in made if column.key == "vs-best")
    best = best_and_counts.find_best(study)
    told = {
        number: column.draw(RowView(study, trial, trial is best, None, best.values[0]))[0]
        for number, trial in study.trials.items()
    }
    assert told[best.number] == ("best", "good") and told[0] == ("+0.243", "")
    ahead = study_with(study, 6, series={}, latest={"eval/loss": best.values[0] - 0.1})
    view = RowView(ahead, ahead.trials[6], False, None, best.values[0])
    assert column.draw(view) == [("-0.100", "good")]


def test_queued_trials_say_when_they_fit():
    study, waits = STUDIES["plain"], Verdict(9, "fits after #8 ends", "warning")
    progress = next(column for column in drawn(study, 80)[0] if column.key == "progress")
    assert progress.draw(RowView(study, study.trials[9], verdict=waits)) == [("after #8", "warning")]
    assert describe_wait(Verdict(9, "fits"))[0] == "fits"
    taken = Verdict(9, "waits for a slot: all are taken, 2 on cpu", "warning")
    assert describe_wait(taken) == ("for a slot", "warning")
    assert describe_wait(Verdict(9, "never fits: 93.4 GiB of 72.0 GiB", "error")) == ("never fits", "error")
    assert describe_wait(Verdict(9, "fits when a device is empty", "warning"))[0] == "alone"


def test_a_trial_of_a_paused_study_keeps_its_progress():
    study = msgspec.structs.replace(STUDIES["plain"], state="paused")
    study = study_with(study, 6, state="queued")
    progress = next(column for column in drawn(study, 80)[0] if column.key == "progress")
    waits = Verdict(6, "waits for resume: the study is paused", "warning")
    assert progress.draw(RowView(study, study.trials[6], verdict=waits))[-1] == ("  57%", "")
    assert progress.draw(RowView(study, study.trials[9], verdict=waits)) == [("for resume", "warning")]


def test_all_curves_are_drawn_on_one_scale_and_ended_ones_dimly():
    study = STUDIES["plain"]
    low = Series(tuple(range(40)), tuple(2.0 - place / 40 for place in range(40)))
    high = Series(tuple(range(40)), tuple(8.0 - place / 40 for place in range(40)))
    for number, series in ((0, low), (2, low), (4, low), (3, high), (1, low)):
        study = study_with(study, number, series=study.trials[number].series | {"train/loss": series})
    made, texts = drawn(study, 120)
    curve = next(column for column in made if column.key == "curve:train/loss")
    assert texts[curve.key][0] == texts[curve.key][2] and texts[curve.key][0].rstrip().endswith("▁")
    assert set(texts[curve.key][3].strip()) == {"█"}, "a bad loss stays at the top"
    meanings = {number: curve.draw(RowView(study, study.trials[number]))[0][1] for number in (0, 1, 3)}
    assert meanings == {0: "train", 1: "muted", 3: "muted"}


def test_a_scale_seldom_moves_and_one_bad_curve_does_not_flatten_the_others():
    ends = [(1.1 + number / 100, 2.7) for number in range(9)]
    assert find_common_scale(ends) == find_common_scale([(1.1001, 2.7004), *ends[1:]])
    assert find_common_scale([*ends, (5.0, 900.0)])[1] < 3
    assert find_common_scale([]) == (0.0, 1.0) and find_common_scale([(2.0, 2.0)]) == (1.5, 2.5)


def test_chosen_columns_stand_in_their_order_and_give_way_from_the_last_on():
    chosen = ("number", "learning_rate", "state", "eval/loss.smooth", "optimizer", "nonsense")
    made, _ = drawn(STUDIES["plain"], 300, TableChoice(columns=chosen))
    assert [column.key for column in made] == list(chosen[:-1])
    made, _ = drawn(STUDIES["plain"], 30, TableChoice(columns=chosen))
    assert [column.key for column in made] == list(chosen[:3])
    made, _ = drawn(STUDIES["plain"], 300, TableChoice(order="learning_rate", descending=True))
    assert next(column for column in made if column.key == "learning_rate").label == "lr▼"


def study_with(study, number, **changes):
    """The study with another state of one trial."""
    trial = msgspec.structs.replace(study.trials[number], **changes)
    return msgspec.structs.replace(study, trials=study.trials | {number: trial})
