"""Words that have too little room lose whole parts, or go on in the next line; none is cut in the middle."""

from __future__ import annotations

import pytest

from core.contract.spec.metric_table import METRICS
from core.contract.views.metric_verdict import describe_metric
from tests.tui.scene import cpu_pack, four_cards, gpu_packs, no_card, state_of
from tests.tui.scored import scored_study
from tui.boards.cell_detail import MEANING_LINES, WAYS, count_lines, make_foot
from tui.study.device_panel import make_panel_lines
from tui.study.pack_line import REASON, ROOMY, make_pack_line
from tui.theme_colors import Palette
from tui.widgets.xy_plot import list_axis_labels

LOOK = Palette({})
STUDY = state_of(scored_study()).studies["tidy-7b"]


@pytest.mark.parametrize("width", [58, 78, 98, 158])
def test_what_a_metric_means_is_told_in_full(width):
    for metric in METRICS.values():
        lines = count_lines([metric.name], width)
        told = make_foot(STUDY, 2, metric.name, {}, (width, lines), LOOK).plain.split("\n")
        words = " ".join(" ".join(told[:MEANING_LINES]).split())
        assert metric.meaning in words, metric.name
        assert describe_metric(metric.name).direction in WAYS and WAYS[metric.direction] in words, metric.name
        assert all(len(line) <= width for line in told[: lines - 4])


@pytest.mark.parametrize("width", range(30, 124, 3))
def test_histories_workers_and_reasons_fit_or_are_left_out(width):
    for scene, packs in ((four_cards(), gpu_packs()), (no_card(), cpu_pack())):
        lines, _ = make_panel_lines(state_of(scene).machine, packs, width, 14, LOOK)
        told = [line for line in lines if line.plain.startswith(("cpu", "ram", "worker"))]
        assert told and all(line.cell_len <= width for line in told)
    alone = make_pack_line(gpu_packs()[1], width, LOOK)
    told_of_reason = width - len("1 pack 2 trials, one after another · 975 tok/s · ")
    assert width < ROOMY or alone.cell_len <= width or told_of_reason >= REASON - 3


def test_an_axis_of_what_is_counted_has_whole_numbers():
    assert list_axis_labels(0, 1, 110, whole=True) == [(0.0, "0"), (1.0, "1")]
    assert [text for _, text in list_axis_labels(0, 2, 110, whole=True)] == ["0", "1", "2"]


async def test_user_and_host_are_left_out_of_a_header_without_room(seat):
    async with seat(state_of(no_card()), (40, 10)) as you:
        you.app.place = "somebody-with-a-long-name@a-host-with-a-long-name"
        you.app.screen.show()
        await you.pilot.pause()
        assert you.screen().splitlines()[0].strip() == "trimtab"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
async def test_the_best_line_of_the_header_ends_with_a_whole_word(seat, width):
    async with seat(state_of(scored_study(), no_card()), (width, 24)) as you:
        assert "…" not in you.screen().splitlines()[1]
