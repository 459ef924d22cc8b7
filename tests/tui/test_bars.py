"""A bar of memory: whose bytes lie where, what is never left out, and what the what-if's keys lead to."""

import pytest
from rich.cells import cell_len

from core.contract.events import event_types as e
from core.contract.spec.knob_table import KNOBS
from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes
from core.contract.wire.memory_forecast import DeviceMemory, PackEstimate, Part
from tests.tui.scene import cpu_pack, gpu_packs, no_card, state_of, study_events
from tests.tui.weighed import GIB, MIB, foretold, on_cards, shared_card
from tui.memory.bar_segments import Share, group_by_kind, group_by_trial
from tui.memory.estimate_accuracy import describe_error, find_relative_error
from tui.memory.memory_history import draw_history
from tui.memory.memory_holders import (
    list_fallback_devices,
    list_other_shares,
    list_own_shares,
    make_free_share,
)
from tui.memory.stacked_bar import Mark, count_cells, draw_bar, draw_legend
from tui.memory.what_if_knobs import ROWS, begin, find_changes, step_value
from tui.theme_colors import Palette

BARE = Palette({})
STATE = state_of(study_events(), shared_card(), gpu_packs())
STUDY = STATE.studies["tidy-7b"]


def total(shares) -> int:
    return sum(share.used_bytes for share in shares)


def piece(letter: str, used_bytes: int) -> Share:
    return Share(letter, f"piece {letter}", used_bytes, "base", "=")


# -- the bar --------------------------------------------------------------------------------------


def test_cells_are_in_proportion_and_no_trial_vanishes():
    shares = [piece("B", 40 * GIB), piece("3", MIB), piece("4", MIB), piece("A", 20 * GIB), piece("W", MIB)]
    cells = count_cells(shares, 80 * GIB, 80)
    assert cells == [39, 1, 1, 19, 0] or cells == [38, 1, 1, 20, 0]


@pytest.mark.parametrize("width", [9, 16, 74, 190])
@pytest.mark.parametrize("number", [0, 1, 7, 40])
def test_a_bar_is_never_wider_than_its_place(width, number):
    shares = [
        piece("B", 3 * GIB),
        *(piece(str(one), 200 * MIB) for one in range(number)),
        piece("A", 9 * GIB),
    ]
    for whole in (1, 4 * GIB, 80 * GIB):
        marks = [Mark(2 * GIB, "limit 2.0 GiB", "limit"), Mark(whole, "device", "muted")]
        lines = draw_bar(shares, whole, marks, width, BARE, rows=2)
        assert [line.cell_len for line in lines] == [width] * 3


def test_letters_and_patterns_tell_the_pieces_apart_without_colours():
    shares = group_by_trial(foretold((6, 7), 31 * GIB), None)
    bar, second = draw_bar(shares, 80 * GIB, [], 76, BARE, rows=2)
    places = [bar.plain.index(letter) for letter in ("B", "6", "7", "A", "S", "·")]
    assert places == sorted(places)
    assert all(pattern in second.plain for pattern in ("░░░░", "╱", "╲", "····"))


def test_the_limit_stands_where_it_lies_with_its_words_under_it():
    for share, width in ((0.1, 80), (0.5, 80), (0.95, 80)):
        mark = Mark(round(share * 100 * GIB), "limit", "limit")
        bar, under = draw_bar([piece("B", 10 * GIB)], 100 * GIB, [mark], width, BARE)
        place = int(share * width)
        assert bar.plain[place] == "┃" and under.plain[place] == "╹" and "limit" in under.plain


def test_more_than_the_device_has_is_drawn_beyond_its_end():
    shares = [piece("B", 30 * GIB)]
    marks = [Mark(11 * GIB, "limit", "limit"), Mark(15 * GIB, "device", "muted")]
    bar, under = draw_bar(shares, 15 * GIB, marks, 60, BARE)
    assert bar.plain.count("┃") == 2 and "·" not in bar.plain
    assert under.plain.index("limit") < under.plain.index("device")


def test_the_legend_names_every_piece_with_its_size():
    shares = group_by_trial(foretold((6, 7, 8), 31 * GIB), 900 * MIB)
    for width in (40, 74, 120, 200):
        text = "\n".join(line.plain for line in draw_legend(shares, width, 30, BARE))
        assert all(format_bytes(share.used_bytes) in text for share in shares)
        assert "#7 adapter + optimizer" in text and "allocator's reserve" in text
        assert all(cell_len(line) <= width for line in text.split("\n"))
    short = "\n".join(line.plain for line in draw_legend(shares, 74, 4, BARE))
    assert "3 trials, #6 to #8" in short and format_bytes(3 * 1120 * MIB) in short


def test_sixteen_trials_have_a_cell_each_where_they_are_that_large():
    large = group_by_trial(foretold(tuple(range(3, 19)), 31 * GIB), None)
    assert "3456789012345678" in draw_bar(large, 80 * GIB, [], 76, BARE)[0].plain
    small = [piece("B", 20 * GIB), *(piece(str(number), 90 * MIB) for number in range(16))]
    assert draw_bar(small, 80 * GIB, [], 76, BARE)[0].plain.count("#") == 1


# -- who holds what -------------------------------------------------------------------------------


def test_the_pieces_of_a_forecast_are_all_of_it():
    told = foretold((0, 1, 2), 5 * GIB)
    assert total(group_by_kind(told)) == total(group_by_trial(told, None)) == told.device_bytes
    assert [one.letter for one in group_by_kind(told)] == list("BDGOASQWC")


def test_a_part_that_the_console_has_no_name_for_is_shown_all_the_same():
    told = PackEstimate((Part("kv cache", GIB), Part("base model", GIB)), 2 * GIB, 2 * GIB, "a step", 1, ())
    assert [(one.label, one.used_bytes) for one in group_by_kind(told)] == [
        ("base model", GIB),
        ("kv cache", GIB),
    ]


def test_other_processes_are_named_by_user_and_pid_and_our_worker_is_none_of_them():
    device = on_cards().devices[0]
    own = list_own_shares(device, STUDY)
    found = list_other_shares("gpu0", STUDY, STATE.machine, own)
    assert [one.label for one in found] == ["bob pid 977 jupyter-lab", "eve pid 31337 python3"]
    assert [one.used_bytes for one in found] == [14 * GIB, 3 * GIB]
    assert make_free_share([*own, *found], 80 * GIB).used_bytes == 80 * GIB - total(own) - 17 * GIB


def test_where_the_driver_names_nobody_what_is_beyond_our_own_is_said_to_be_others():
    card = e.Device(0, "H100", used_bytes=60 * GIB, total_bytes=80 * GIB)
    machine = s.Machine(devices=(card,), workers=(e.Worker("w", 5, "gpu0", study="tidy-7b"),))
    assert list_other_shares("gpu0", STUDY, machine, [piece("B", 60 * GIB)]) == []
    (unnamed,) = list_other_shares("gpu0", STUDY, machine, [piece("B", 45 * GIB)])
    assert (unnamed.label, unnamed.used_bytes) == ("not named by the driver", 15 * GIB)


def test_many_other_processes_share_a_piece_and_an_unsaid_size_is_said():
    crowd = tuple(
        e.Process(100 + at, "python", f"u{at}", (9 - at) * GIB if at < 9 else None) for at in range(10)
    )
    card = e.Device(0, "H100", used_bytes=45 * GIB, total_bytes=80 * GIB, processes=crowd)
    found = list_other_shares("gpu0", STUDY, s.Machine(devices=(card,)), [])
    assert found[-1].label == "5 more processes" and total(found) == 45 * GIB
    alone = list_other_shares(
        "gpu0", STUDY, s.Machine(devices=(e.Device(0, "H100", processes=crowd[9:]),)), []
    )
    assert alone[0].label == "u9 pid 109 python (size unknown)"


def test_without_a_forecast_the_bar_shows_what_was_measured():
    device = on_cards().devices[1]
    assert device.foretold is None
    own = list_own_shares(device, STUDY)
    assert [one.letter for one in own] == ["B", "8", "9", "A"] and total(own) == 3 * GIB


def test_on_a_cpu_the_device_is_the_hosts_memory():
    state = state_of(study_events(), no_card(), cpu_pack())
    (device,) = list_fallback_devices(state.studies["tidy-7b"], state.machine, "weighing")
    assert (device.label, device.total_bytes, device.why_not) == ("cpu", 24 * GIB, "weighing")
    (rest,) = list_other_shares("cpu", state.studies["tidy-7b"], state.machine, [])
    assert rest.used_bytes == 9 * GIB - 3 * GIB


def test_before_the_engine_has_weighed_the_cards_in_use_are_shown():
    assert [fallback_device.label for fallback_device in list_fallback_devices(STUDY, STATE.machine, "")] == [
        "gpu0",
        "gpu1",
    ]
    assert list_fallback_devices(s.Study("new", spec=STUDY.spec), s.Machine(), "")[0].total_bytes == 0


# -- history, differences, knobs ------------------------------------------------------------------


def test_the_history_ends_at_now_and_leaves_gaps_for_missing_readings():
    lines = draw_history([0.5] * 10 + [None] * 10 + [1.0] * 10, 80 * GIB, None, (60, 4), BARE)
    assert len(lines) == 4 and lines[0].plain.startswith("80.0 GiB │")
    top, middle = lines[0].plain, lines[1].plain + lines[2].plain
    assert top[-1] not in " ⠀" and any("\u2800" < sign <= "\u28ff" for sign in middle)
    assert not any("\u2800" < line.plain[-8] <= "\u28ff" for line in lines), "the gap"
    assert draw_history([], 80 * GIB, None, (60, 4), BARE)[0].plain == "no history yet"
    assert draw_history([0.5], 0, None, (60, 4), BARE) == []


def test_more_than_eight_percent_off_is_marked_and_too_low_is_worse():
    assert describe_error(find_relative_error(104, 100)) == ("+4 %  ", "good")
    assert describe_error(find_relative_error(109, 100)) == ("+9 % ▲", "warning")
    assert describe_error(find_relative_error(91, 100)) == ("-9 % ▼", "error")
    assert (
        find_relative_error(None, 5) is None
        and find_relative_error(5, None) is None
        and find_relative_error(5, 0) is None
    )


def test_the_what_if_begins_with_the_trials_own_knobs():
    trial = STUDY.trials[6]
    start = begin(STUDY, trial)
    assert tuple(start) == ROWS
    assert start["lora_rank"] == trial.knobs["lora_rank"] and start["precision"] == "nf4"
    assert start["pack"] == 6, "as many as train together now"
    assert begin(STUDY, None)["batch_size"] == KNOBS["batch_size"].default
    assert find_changes(start, {**start, "pack": 9}) == {}
    assert find_changes(start, {**start, "batch_size": 9}) == {"batch_size": 9}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_moves_both_ways_and_stops_at_its_ends(name):
    value = begin(STUDY, STUDY.trials[6])[name]
    for by in (1, -1):
        seen = [value]
        for _ in range(300):
            seen.append(step_value(name, seen[-1], by))
            if seen[-1] == seen[-2]:
                break
        assert seen[-1] == seen[-2]
        if name in KNOBS and KNOBS[name].kind == "int":
            knob = KNOBS[name]
            assert all(knob.low <= one <= knob.high for one in seen)


def test_a_value_between_the_steps_goes_to_the_next_one():
    assert [step_value("batch_size", 5, by) for by in (1, -1)] == [6, 4]
    assert [step_value("sequence_length", 2000, by) for by in (1, -1)] == [2048, 1536]
    assert step_value("device", "gpu0", 1, ("gpu0", "gpu1")) == "gpu1"
    assert step_value("precision", "fp8?", 1) == "auto"
    assert step_value("pack", 1, -1) == 1


def test_nonsense_numbers_draw_something():
    device = DeviceMemory(
        "gpu0", -5, -7, "", foretold=PackEstimate((Part("adapter", -9, 3),), -1, -2, "", 0, ())
    )
    shares = list_own_shares(device, STUDY)
    assert total(shares) == 0
    assert draw_bar(shares, -5, [Mark(-7, "limit", "limit")], 40, BARE)[0].cell_len == 40
