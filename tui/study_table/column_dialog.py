"""Choose which columns the trial table shows, in which order, and by which it is ordered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.spec.knob_table import find_knob
from core.contract.state import engine_state as s
from core.contract.views.trials.trial_fields import find_field, list_metrics
from tui.keys.filter_column_keys import COLUMNS
from tui.keys.key_definition import make_bindings
from tui.study_table.table_choice import (
    CURVE,
    NOW,
    SIGNS,
    VS_BEST,
    TableChoice,
    flip_order,
    list_all_columns,
    list_default_columns,
)
from tui.theme_colors import Palette

MEANINGS = {
    "number": "the trial's number, ★ the best",
    SIGNS: "star, note, edit, clone, device, queue",
    "state": "what it does",
    "progress": "steps done, or what it waits for",
    "left": "time left of live trials",
    "elapsed": "training time so far",
    VS_BEST: "its best value less that of the study's best trial",
    NOW: "how far its last value is from its best one",
    "step": "optimizer steps done",
    "device": "where it trains",
    "by": "who queued it",
    "note": "its note",
}
NAMES = {VS_BEST: "vs best", NOW: "since best"}
HINT = "Space shows · ⇧↑↓ moves · o orders · r as trimtab chooses · Esc done"


class ColumnDialog(ModalScreen[TableChoice]):
    """Lists all columns, the shown ones first in their order; dismisses with the choice."""

    DEFAULT_CSS = """
    ColumnDialog { align: center middle; background: $background 60%; }
    ColumnDialog > Vertical {
        width: 84; max-width: 98%; height: auto; max-height: 96%; padding: 0 1;
        border: round $primary; border-title-color: $primary; border-subtitle-color: $text-muted;
        background: $surface;
    }
    ColumnDialog OptionList, ColumnDialog OptionList:focus {
        height: auto; max-height: 100%; border: none; padding: 0; background: $surface;
        scrollbar-size-vertical: 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    BINDINGS = make_bindings(COLUMNS)

    def __init__(self, study: s.Study, choice: TableChoice, fitting: Sequence[str], look: Palette) -> None:
        super().__init__()
        self._study, self._choice, self._fitting, self._look = study, choice, list(fitting), look
        all_keys = list_all_columns(study, list_metrics(study), [knob.name for knob in study.settings.knobs])
        self._on = set(choice.columns if choice.columns is not None else list_default_columns(study))
        first = choice.columns if choice.columns is not None else list_default_columns(study)
        self._keys = list(dict.fromkeys([*first, *all_keys]))
        self._own = choice.columns is not None

    def compose(self) -> ComposeResult:
        """The list, and the keys in the frame."""
        with Vertical() as box:
            box.border_title = "columns"
            box.border_subtitle = HINT
            yield OptionList(*self._list_options())

    def _list_options(self) -> list[Option]:
        return [Option(self._make_line(key, key in self._on), id=key) for key in self._keys]

    def _make_line(self, key: str, shown: bool) -> Text:
        look = self._look
        line = Text("✓ " if shown else "  ", style=look["good"], no_wrap=True, overflow="ellipsis")
        line.append(f"{make_title(key):<29} ", style="" if shown else look["muted"])
        ordered = key == (self._choice.order or ("number" if self._choice.descending else ""))
        line.append(("▼ " if self._choice.descending else "▲ ") if ordered else "  ", style=look["accent"])
        unfit = shown and not self._own and key not in self._fitting and key != SIGNS
        line.append(explain(self._study, key), style=look["muted"])
        line.append("  (no room)" if unfit else "", style=look["warning"])
        return line

    def _draw(self, key: str) -> None:
        """List them again, the cursor on ``key``."""
        rows = self.query_one(OptionList)
        rows.clear_options()
        rows.add_options(self._list_options())
        rows.highlighted = self._keys.index(key)

    @property
    def _key(self) -> str:
        rows = self.query_one(OptionList)
        return self._keys[rows.highlighted or 0]

    # -- keys -------------------------------------------------------------------------------------

    def action_show(self) -> None:
        """Show or hide the column; the last shown one stays."""
        key = self._key
        if self._on != {key}:
            self._own = True
            self._on ^= {key}
        self._draw(key)

    def action_shift(self, by: int) -> None:
        """Move the column."""
        key, self._own = self._key, True
        place = self._keys.index(key)
        target_place = max(0, min(len(self._keys) - 1, place + by))
        self._keys.insert(target_place, self._keys.pop(place))
        self._draw(key)

    def action_order(self) -> None:
        """Order the table by the column; once more turns the order round."""
        key = self._key
        self._choice = flip_order(self._study, self._choice, key.removeprefix(CURVE))
        self._draw(key)

    def action_reset(self) -> None:
        """Show the columns that trimtab chooses, in the order of the trials' numbers."""
        key = self._key
        self._choice = msgspec.structs.replace(self._choice, order="", descending=False)
        first, self._own = list_default_columns(self._study), False
        self._on = set(first)
        self._keys = list(dict.fromkeys([*first, *self._keys]))
        self._draw(key)

    def action_move(self, by: int) -> None:
        """The next or previous column."""
        rows = self.query_one(OptionList)
        rows.highlighted = max(0, min(rows.option_count - 1, (rows.highlighted or 0) + by))

    def action_done(self) -> None:
        """Take over what was chosen."""
        columns = tuple(key for key in self._keys if key in self._on) if self._own else None
        self.dismiss(msgspec.structs.replace(self._choice, columns=columns))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click shows or hides."""
        self.action_show()


def make_title(key: str) -> str:
    """Return a column's name in the list: such as eval/loss, smoothed; train/loss, curve."""
    if key.startswith(CURVE):
        return f"{key.removeprefix(CURVE)}, curve"
    metric, _, reading = key.rpartition(".")
    words = {"best": "best", "last": "last", "smooth": "smoothed"}
    return f"{metric}, {words[reading]}" if metric and reading in words else NAMES.get(key, key)


def explain(study: s.Study, key: str) -> str:
    """Return what a column shows, in a few words."""
    if key in MEANINGS:
        return MEANINGS[key]
    if (knob := find_knob(key)) is not None:
        return knob.meaning
    field = find_field(study, key)
    if field is None or not field.metric:
        return "all curves on one scale" if key.startswith(CURVE) else ""
    direction_texts = {"minimize": "lower is better", "maximize": "higher is better"}
    return direction_texts.get(field.direction, "")
