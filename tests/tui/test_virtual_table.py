"""A table of a thousand rows draws what is in sight, and what changed of it."""

from contextlib import asynccontextmanager

import pytest
from textual.app import App

from tui.theme_colors import Palette
from tui.widgets.virtual_table import TableColumn, VirtualTable

ROWS, COLUMNS = 1000, 9
SIZE = (40, 12)  # cells: a still column of 8 and four scrolling ones fit


@pytest.fixture(autouse=True)
def quick():
    """Frames are drawn here: the tests count the lines of each."""


class Numbers(VirtualTable):
    """Rows of numbers; notes which rows were drawn, where the cursor went, and what was opened."""

    STILL_ROWS, FOOT_LINES, CELL_CURSOR = 1, 1, True

    def __init__(self):
        super().__init__()
        self.values = dict.fromkeys(range(ROWS), 0)
        self.drawn, self.moves, self.opened = [], [], []

    def list_row_inputs(self, key):
        return (self.values[key],)

    def draw_cells(self, key):
        self.drawn.append(key)
        value = self.values[key]
        return [[(f"row {key}", "")], *([(f"{column.key}={value}", "")] for column in self.columns_in_sight)]

    def draw_foot_cells(self, line):
        return [[(f"at {self.row_key}", "")]]

    def handle_cursor_move(self):
        self.moves.append((self.row_key, self.column_key))

    def handle_row_opening(self):
        self.opened.append((self.row_key, self.column_key))

    def lines(self):
        return [self.render_line(line).text for line in range(self.size.height)]


class Shell(App):
    def compose(self):
        yield Numbers()


@asynccontextmanager
async def opened(rows=ROWS):
    async with Shell().run_test(size=SIZE) as pilot:
        table = pilot.app.query_one(Numbers)
        still = TableColumn("name", 8, ((("name", ""),),))
        scrolling = [TableColumn(f"c{place}", 6, (((f"c{place}", ""),),), gap=1) for place in range(COLUMNS)]
        table.set_columns([still, *scrolling], 1, Palette(pilot.app.get_css_variables()))
        table.set_keys(list(range(rows)))
        table.focus()
        await pilot.pause()
        yield table, pilot


async def test_only_the_rows_in_sight_are_drawn():
    async with opened() as (table, pilot):
        assert set(table.drawn) == set(range(SIZE[1] - 2)), "without the head and the foot"
        table.drawn.clear()
        table.draw_changes()
        assert table.drawn == [], "nothing changed"
        table.values[3] = table.values[700] = 1
        table.draw_changes()
        await pilot.pause()
        assert table.drawn == [3]
        assert "c0=1" in table.lines()[4]
        table.move_cursor(700)
        await pilot.pause()
        assert "row 700" in table.lines()[-2] and "c0=1" in table.lines()[-2], "the other one, once in sight"
        assert len(set(table.drawn)) < 3 * SIZE[1]


async def test_head_still_rows_and_foot_do_not_scroll():
    async with opened() as (table, pilot):
        table.move_cursor(ROWS - 1)
        await pilot.pause()
        lines = table.lines()
        assert lines[0].startswith("name") and lines[1].startswith("row 0") and lines[-1].startswith("at 999")
        assert [line.split()[1] for line in lines[2:-1]] == [str(row) for row in range(991, 1000)]
        table.move_cursor(0)
        await pilot.pause()
        assert table.scroll_offset.y == 990, "a still row is always in sight"


async def test_columns_scroll_sideways_with_the_cursor_and_leave_no_room_unused():
    async with opened() as (table, _):
        assert [column.key for column in table.columns_in_sight] == ["c0", "c1", "c2", "c3"]
        table.move_cursor(0, 4)
        assert [column.key for column in table.columns_in_sight] == ["c1", "c2", "c3", "c4"]
        table.move_cursor(0, 99)
        assert [column.key for column in table.columns_in_sight] == ["c5", "c6", "c7", "c8"]
        assert table.lines()[0].split() == ["name", "c5", "c6", "c7", "c8"]
        table.move_cursor(0, 6)
        assert table.columns_in_sight[0].key == "c5", "in sight already"


async def test_the_cursor_stays_on_its_row_and_column_when_the_order_changes():
    async with opened() as (table, _):
        table.move_cursor(5, 2)
        table.moves.clear()
        table.set_keys(list(reversed(range(ROWS))))
        table.set_columns([table.shown_columns[0], *reversed(table.columns_in_sight)], 1, table._look)
        assert (table.row_key, table.column_key) == (5, "c2") and table.cursor_row == ROWS - 6
        assert table.moves == []
        table.set_keys([7])
        assert table.row_key == 7 and table.moves == [(7, "c2")], "its row is gone"
        table.set_keys([])
        assert table.row_key is None


async def test_a_click_chooses_a_cell_and_two_open_it():
    async with opened() as (table, pilot):
        await pilot.click(Numbers, offset=(8 + 7 + 1, 4))
        assert (table.row_key, table.column_key) == (3, "c1")
        for outside in ((2, 4), (10, 0), (10, SIZE[1] - 1)):  # the still column, the head, the foot
            await pilot.click(Numbers, offset=outside)
            assert (table.row_key, table.column_key) == (3, "c1")
        await pilot.click(Numbers, offset=(9, 6), times=2)
        assert table.opened == [(5, "c0")]
