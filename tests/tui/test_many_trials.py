"""Ten thousand trials: a frame draws what is in sight and asks again only of trials that changed."""

from contextlib import asynccontextmanager

import msgspec
import pytest
from textual.app import App

from core.contract.views.trials.trial_filter import TrialFilter
from tests.tui.scene import state_of, study_events
from tui.column_format import ColumnFormat
from tui.study_table.table_choice import TableChoice
from tui.study_table.trial_table import TrialTable
from tui.theme_colors import Palette

ROWS, SIZE = 10_000, (120, 30)
CHOICE = TableChoice(filter="loss<9 lr<1", order="eval/loss.smooth")


@pytest.fixture(autouse=True)
def quick():
    """Frames are drawn here: the tests count what each takes."""


def many():
    """A study of ``ROWS`` running trials with different losses."""
    study = state_of(study_events()).studies["tidy-7b"]
    like = study.trials[6]
    trials = {number: msgspec.structs.replace(like, number=number) for number in range(ROWS)}
    return msgspec.structs.replace(study, trials=trials)


class Shell(App):
    def compose(self):
        yield TrialTable()


class Counts:
    """How often rows were drawn, numbers written, and trials held against the filter."""

    def __init__(self, monkeypatch):
        self.all = {"rows": 0, "numbers": 0, "filtered": 0}
        for owner, name, what in (
            (TrialTable, "draw_cells", "rows"),
            (ColumnFormat, "write", "numbers"),
            (TrialFilter, "matches", "filtered"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name), what))

    def _counted(self, real, what):
        def call(*given):
            self.all[what] += 1
            return real(*given)

        return call

    def take(self):
        before, self.all = self.all, dict.fromkeys(self.all, 0)
        return before


@asynccontextmanager
async def opened(study):
    async with Shell().run_test(size=SIZE) as pilot:
        table, look = pilot.app.query_one(TrialTable), Palette(pilot.app.get_css_variables())
        table.show(study, CHOICE, {}, look)
        await pilot.pause()
        yield table, look, pilot


async def test_a_frame_costs_what_is_in_sight_and_what_changed(monkeypatch):
    study, counts = many(), Counts(monkeypatch)
    async with opened(study) as (table, look, pilot):
        first = counts.take()
        assert table.row_count == ROWS and first["filtered"] == ROWS
        assert first["rows"] <= 3 * SIZE[1], "only the rows in sight are drawn"
        table.show(study, CHOICE, {}, look)
        await pilot.pause()
        assert counts.take() == {"rows": 0, "numbers": 0, "filtered": 0}, "nothing changed"
        moved = msgspec.structs.replace(study.trials[7], step=231)
        study = msgspec.structs.replace(study, trials=study.trials | {7: moved})
        table.show(study, CHOICE, {}, look)
        await pilot.pause()
        after = counts.take()
        assert after["rows"] == 1 and after["filtered"] == 1
        assert after["numbers"] <= 3 * len(table.keys_drawn), "measured and drawn: one trial"
        table.move_cursor(ROWS - 1)
        await pilot.pause()
        assert counts.take()["rows"] <= 3 * SIZE[1]


async def test_a_change_out_of_sight_draws_nothing(monkeypatch):
    study, counts = many(), Counts(monkeypatch)
    async with opened(study) as (table, look, pilot):
        counts.take()
        moved = msgspec.structs.replace(study.trials[9_000], step=231)
        study = msgspec.structs.replace(study, trials=study.trials | {9_000: moved})
        table.show(study, CHOICE, {}, look)
        await pilot.pause()
        assert counts.take()["rows"] == 0
