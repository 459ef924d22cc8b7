"""Devices: every card in sight or told, their history, and who holds their memory."""

from itertools import product

import pytest
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.state.machine_history import Track, add_reading, average
from core.contract.wire import message_codec
from tests.matrix import rest_slow
from tests.tui.scene import NOW, four_cards, gpu_packs, no_card, state_of, study_events
from tui.devices.card_lines import make_card_lines
from tui.devices.device_charts import make_device_charts
from tui.devices.device_history_points import LOAD, SPANS, list_history
from tui.devices.processes_by_user import group_by_user
from tui.study.device_panel import make_panel_lines
from tui.theme_colors import Palette

BARE = Palette({})
ON_CARDS = state_of(study_events(), four_cards(), gpu_packs())
PACKS = tuple(ON_CARDS.studies["tidy-7b"].packs.values())


def cards(count: int) -> s.Machine:
    machine = ON_CARDS.machine
    return replace(machine, devices=tuple(replace(machine.devices[n % 3], index=n) for n in range(count)))


def panel(count: int, width: int, height: int) -> tuple[list[str], int]:
    lines, left_out = make_panel_lines(cards(count), PACKS, width, height, BARE)
    return [line.plain for line in lines], left_out


@pytest.mark.parametrize(
    ("count", "size"), list(product([1, 2, 4, 8], [(33, 6), (51, 6), (70, 10), (120, 30)]))
)
def test_every_card_is_in_the_panel(count, size):
    lines, _ = panel(count, *size)
    assert len(lines) <= size[1]
    for number in range(count):
        assert any(
            f"{number} █" in line or f"{number} ▊" in line or f"{number} ▏" in line or f"{number} ░" in line
            for line in lines
        )
    assert any("cpu" in line for line in lines), "and the host"


def test_what_has_no_room_is_told():
    lines, left_out = panel(60, 51, 6)
    assert any("more: d" in line for line in lines) and left_out
    assert panel(1, 120, 30)[1] == 0


def test_a_card_has_two_lines_where_there_is_room_and_heads_above():
    lines, _ = panel(2, 120, 30)
    assert lines[0].split()[:5] == ["memory", "used/all", "load", "temp", "power"]
    assert lines[2].strip() == "A100-SXM4-80GB", "without the maker's name"
    assert "name" in panel(8, 90, 12)[0][0]


def test_heads_stand_over_their_columns():
    head, line = (text.plain for text in make_card_lines(cards(1), 100, 2, BARE))
    for label, value in (("used/all", "80.0G"), ("load", "89%"), ("temp", "66°C"), ("power", "400W")):
        assert head.index(label) + len(label) == line.index(value) + len(value)


def test_a_reading_that_is_missing_is_a_dash():
    text = "\n".join(line.plain for line in make_card_lines(ON_CARDS.machine, 120, 9, BARE))
    assert "–" in text and "GPU is lost" in text and "61.5G/80.0G" in text


def test_history_is_kept_for_a_minute_an_hour_and_a_day_in_little_room():
    state, card = s.State(), e.Device(0, "A100", used_bytes=1, total_bytes=2, utilisation=0.5, power_w=300.0)
    for tick in range(0, 90_000, 20):
        share = 0.5 if tick < 80_000 else 0.9
        read = e.MachineRead(at=NOW + tick, devices=(replace(card, utilisation=share),), host=e.Host(cpu=0.1))
        state = apply(state, read)
    past, now = state.machine.past["0"], state.machine.read_at
    for span in SPANS:
        at, values = list_history(past, LOAD, span, now)
        assert -span <= at[0] and at[-1] <= 0 and values[-1] == 90
    at, values = list_history(past, LOAD, 86_400, now)
    assert at[0] < -80_000 and values[0] == 50 and len(at) <= 289
    assert len(message_codec.encode(past)) < 12_000
    assert set(list_history(past, 2, 3600, now)[1]) == {300.0}


def test_a_stretch_in_which_nobody_read_is_missing():
    track = Track(10, 4)
    for at, number in ((100, 4), (105, 8), (131, None)):
        track = add_reading(track, at, (number,))
    assert track.points == ((6,), (None,), (None,)) and average(track) == (None,)
    assert add_reading(track, 10_000, (1,)).points == ((None,),) * 4


def test_a_state_of_an_older_version_has_no_tracks_and_can_be_read():
    assert message_codec.encode(s.Past((0.5,), (0.1,)))
    assert list_history(s.Past((0.5,), (0.1,)), LOAD, 60, NOW) == ([], [])


def test_processes_are_listed_by_user_and_ours_named_by_trial():
    other = e.Process(99, "blender", "bob", 30 * 2**30, 0.4)
    machine = ON_CARDS.machine
    devices = (
        replace(machine.devices[0], processes=(*machine.devices[0].processes, other)),
        *machine.devices[1:],
    )
    bob, ada = group_by_user(replace(ON_CARDS, machine=replace(machine, devices=devices)))
    assert (bob.user, ada.user) == ("bob", "ada") and not bob.holders[0].ours
    assert ada.holders[0].trials == (5, 6, 7, 8) and ada.holders[0].study == "tidy-7b"
    assert bob.holders[0].share == pytest.approx(30 / 80)
    assert bob.utilisation == pytest.approx(0.4 / 4), "of the time of four cards"


def test_without_a_gpu_the_host_alone_has_charts():
    assert [chart.title for chart in make_device_charts(state_of(no_card()).machine, 60)] == [
        "host",
        "network",
    ]


async def test_d_opens_the_devices_from_every_main_screen_and_t_shows_more_of_the_past(seat):
    async with seat(ON_CARDS, (120, 40)) as you:
        await you.press("d")
        await you.sees(
            "› devices of box", "the last 1 minute", "61.5G/80.0G", "cpu", "trials #5, #6, #7, #8 of tidy-7b"
        )
        await you.press("t", "t", "t", "t")
        await you.sees("the last 1 day", "-12h")
        await you.press("tab", "enter", "right", "left", "number_sign", "j", "0", "d")
        await you.sees("progress")
        await you.press("enter", "d")
        await you.sees("› devices of box")
        await you.press("escape")
        await you.sees("› trial 0")


@pytest.mark.parametrize("size", rest_slow([((80, 24),), ((40, 10),), ((200, 60),)]))
async def test_the_devices_stand_in_every_size(seat, size):
    async with seat(ON_CARDS, size) as you:
        await you.press("d", "t", "enter")
        await you.sees("devices")
