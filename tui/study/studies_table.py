"""The table of studies of several hosts: where, which, how far, and how good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from core.contract.hosts.host_list import Host
from core.contract.hosts.ssh_commands import Remote
from core.contract.hosts.study_summary import StudyState
from core.contract.text.sanitize import sanitize
from tui.number_text import GLYPHS, NOTHING, draw_bar, format_duration, format_loss
from tui.theme_colors import Palette
from tui.widgets.following_table import FollowingTable, LineChosen, fit
from tui.widgets.steering_row_signs import Piece
from tui.widgets.virtual_table import Cells, TableColumn

HERE = "this host"
STATES = {"running": "running", "paused": "paused", "stopping": "paused", "complete": "complete"}
STATES |= {"stopped": "pruned", "failed": "failed"}  # the colour and sign of a study's state
ROOMY = 100  # columns from which the bar and the metric are shown
ASKING = "asking …"


@dataclass(frozen=True)
class StudyRow:
    """A study, or in ``words`` what is to say of a host that shows none. ``host`` is empty for this host."""

    host: str
    study: StudyState | None = None
    words: str = ""
    failed: bool = False

    @property
    def text(self) -> str:
        """Return all that a filter looks at."""
        study = self.study
        of_study = f"{study.name} {study.state} {study.metric}" if study is not None else self.words
        return f"{self.host or HERE} {of_study}".lower()


def list_rows(
    own: Sequence[StudyState], at: str, hosts: Sequence[Host], answers: Mapping[str, Remote | str]
) -> list[StudyRow]:
    """Return the rows of all hosts: that of the console first, whose studies are ``own`` and whose name is
    ``at``, then this host, then the others. An answer is what a host said, or why it did not."""
    rows = _make_study_rows(at, own) or [StudyRow(at, words="no study yet")]
    for name in [*([""] if at else []), *(host.name for host in hosts if host.name != at)]:
        answer = answers.get(name)
        if isinstance(answer, Remote):
            rows += _make_study_rows(name, answer.studies) or [StudyRow(name, words=answer.describe())]
        else:
            rows.append(StudyRow(name, words=answer or ASKING, failed=answer is not None))
    return rows


def _make_study_rows(host: str, studies: Sequence[StudyState]) -> list[StudyRow]:
    """The newest first, those that run before those that have ended."""
    newest = list(reversed(studies))
    return [StudyRow(host, study) for study in sorted(newest, key=lambda study: not study.is_live)]


class StudiesTable(FollowingTable):
    """Shows some of the rows by their places; it does not follow its end."""

    HEAD_LINES: ClassVar[int] = 1

    def __init__(self, **more: object) -> None:
        super().__init__(**more)
        self._studies: Sequence[StudyRow] = ()
        self.follows = False

    @property
    def chosen(self) -> StudyRow | None:
        """Return the row under the cursor."""
        return self._studies[self.row_key] if self.row_key is not None else None

    def show(self, rows: Sequence[StudyRow], places: list[int], look: Palette) -> None:
        """Draw the rows at these places; the cursor stays on its study."""
        before = self.chosen
        self._studies, self.follows = rows, False
        self._fit_columns(look)
        self.show_lines(places)
        if before is not None and (place := self._place_of(before, places)) is not None:
            self.move_cursor(place)

    def _place_of(self, row: StudyRow, places: Sequence[int]) -> int | None:
        identity = (row.host, row.study.name if row.study is not None else "")
        for place, number in enumerate(places):
            study = self._studies[number].study
            if (self._studies[number].host, study.name if study is not None else "") == identity:
                return place
        return None

    def handle_cursor_move(self) -> None:
        """Tell the screen."""
        self.post_message(LineChosen())

    def _fit_columns(self, look: Palette) -> None:
        several = len({row.host for row in self._studies}) > 1
        hosts = max((len(row.host or HERE) for row in self._studies), default=0)
        wide = self.size.width >= ROOMY
        columns = [
            ("host", min(20 if wide else 12, max(6, hosts)) + 2 if several else 0, False),
            ("study", 0, False),
            ("state", 12, False),
            ("progress", 14 if wide else 6, True),
            ("trials", 10, True),
            ("best", 9, True),
            ("metric", 22 if wide else 0, False),
            ("left", 9, True),
        ]
        rest = max(12, self.size.width - 2 - sum(width for _, width, _ in columns))
        table_columns = [TableColumn("edge", 1, ((("", ""),),))]
        for name, width, right in columns:
            width = rest if name == "study" else width
            head = f" {name} " if right else f"  {name}" if name == "metric" else name
            head = "" if name == "progress" and not wide else head
            if width:
                table_columns.append(TableColumn(name, width, (((head, ""),),), right=right))
        self.set_columns(table_columns, len(table_columns), look)

    def list_row_inputs(self, key: int) -> tuple[object, ...]:
        """Return the row, and whether the one before is of the same host."""
        return (self._studies[key], self._is_first(key))

    def _is_first(self, key: int) -> bool:
        return key == 0 or self._studies[key - 1].host != self._studies[key].host

    def draw_cells(self, key: int) -> Cells:
        """Return a study in columns, or the words of a host across all of them."""
        row = self._studies[key]
        host = fit(sanitize(row.host or HERE, 40), 20)
        first = (host, "bold" if self._is_first(key) else "muted")
        if row.study is None:
            return self._draw_across(first, row)
        cells = {"host": [first], **self._draw_study(row.study)}
        return [cells.get(column.key, []) for column in self._columns]

    def _draw_study(self, study: StudyState) -> dict[str, list[Piece]]:
        width = {column.key: column.width for column in self._columns}
        meaning = STATES.get(study.state, "info")
        percent = NOTHING if study.share is None else f"{int(100 * study.share)}%"
        full, empty = (
            draw_bar(study.share, 8) if width["progress"] > 10 and study.share is not None else ("", "")
        )
        counted = f"{study.ended}/{study.trials}" if study.trials else NOTHING
        return {
            "study": [(fit(sanitize(study.name, 80), width["study"] - 2), "" if study.is_live else "muted")],
            "state": [(f"{GLYPHS.get(meaning, '·')} {sanitize(study.state, 9)}", meaning)],
            "progress": [(full, "primary"), (empty, "muted"), (f" {percent:>4} ", "")],
            "trials": [(f"{counted} ", "")],
            "best": [(f"{format_loss(study.best)} ", "bold" if study.best is not None else "muted")],
            "metric": [(f"  {fit(sanitize(study.metric, 40), 20)}", "muted")],
            "left": [(f"{format_duration(study.left_s)} ", "muted")],
        }

    def _draw_across(self, first: Piece, row: StudyRow) -> Cells:
        """The words, cut into the columns, which stand close to each other."""
        widths = [column.width for column in self._columns]
        lead = 2 if self._columns[1].key == "host" else 1
        words = fit(sanitize(row.words, 300), sum(widths[lead:])).ljust(sum(widths[lead:]))
        cells: list[list[Piece]] = [[], [first]][:lead]
        for width in widths[lead:]:
            cells.append([(words[:width], "warning" if row.failed else "muted")])
            words = words[width:]
        return cells
