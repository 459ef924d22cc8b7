"""Objectives with a reference: is it beaten, by how much, and how much of the plane does the front hold?"""

from core.contract.state import engine_state as s
from core.contract.state import reference_values


def study(objectives, *values):
    trials = {number: s.Trial(number, state=s.COMPLETE, values=value) for number, value in enumerate(values)}
    return s.Study("a", spec={"study": {"objectives": objectives}}, trials=trials)


LOSS = {"metric": "eval/loss", "direction": "minimize", "reference": 2.0}
ACCURACY = {"metric": "eval/accuracy", "direction": "maximize", "reference": 0.5}


def test_a_result_beats_or_falls_short_of_its_reference_by_a_share_of_it():
    both = study([LOSS, ACCURACY], (1.8, 0.4))
    assert reference_values.format_results(both, both.trials[0]) == [
        "eval/loss 1.8 beats 2 by 10.0%", "eval/accuracy 0.4 falls short of 0.5 by 20.0%",
    ]  # fmt: skip
    equal = study([LOSS], (2.0,))
    assert reference_values.format_results(equal, equal.trials[0]) == ["eval/loss 2 only equals 2"]
    none = study([{"metric": "eval/loss", "direction": "minimize"}], (2.0,))
    assert reference_values.format_results(none, none.trials[0]) == []


def test_the_front_holds_the_area_within_the_references():
    # by hand: (1.0, 0.6) and (1.5, 0.9): 1.0 x 0.1 + 0.5 x 0.3, and (1.6, 0.7) is beaten
    both = study([LOSS, ACCURACY], (1.0, 0.6), (1.5, 0.9), (1.6, 0.7))
    assert abs(reference_values.compute_hypervolume(both) - (1.0 * 0.1 + 0.5 * 0.3)) < 1e-12
    assert reference_values.compute_hypervolume(study([LOSS, ACCURACY], (2.5, 0.9))) == 0.0
    assert reference_values.compute_hypervolume(study([LOSS], (1.0,))) is None
