"""A device is given back from the console: the choice, the engine's preview, and only then the change."""

from core.contract.wire import console_api
from core.contract.wire.memory_forecast import DeviceMemory, MemoryNow
from tests.tui.scene import four_cards, no_card, state_of, study_events
from tui.devices.device_use import make_setting
from tui.devices.device_use_dialog import list_devices
from tui.steering import study_form

STUDY = "tidy-7b"
EFFECT = "gpu1 is given back: no trial is on it"


def device(label: str) -> DeviceMemory:
    return DeviceMemory(label, 80 << 30, None, "")


class Answers:
    """An engine whose study uses these devices."""

    def __init__(self, *labels: str) -> None:
        self.labels = labels

    def __call__(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        if isinstance(request, console_api.WeighMemory):
            return MemoryNow(tuple(map(device, self.labels)))
        changes = ("resources.devices: auto → 0",)
        return (
            console_api.Change(changes, (EFFECT,)) if isinstance(request, console_api.ChangeStudy) else None
        )


def changes_asked(you) -> list[console_api.ChangeStudy]:
    return [request for request in you.backend.asked if isinstance(request, console_api.ChangeStudy)]


async def test_a_device_is_given_back_from_the_devices_screen_after_a_preview(seat):
    async with seat(state_of(study_events(), four_cards())) as you:
        you.backend.answers = Answers("gpu0", "gpu1")
        await you.press("d", "Y")
        await you.sees(
            "devices of tidy-7b", "● gpu0", "4 trials", "give back", "○ gpu2", "use it", "GPU is lost"
        )
        await you.press("Y", "enter")
        await you.sees("Change the study tidy-7b?", EFFECT)
        assert changes_asked(you) == [console_api.ChangeStudy(STUDY, {"resources": {"devices": [0]}}, True)]
        await you.press("y")
        await you.until(lambda: len(changes_asked(you)) == 2, "the change")
        assert changes_asked(you)[1] == console_api.ChangeStudy(STUDY, {"resources": {"devices": [0]}})


async def test_another_device_is_used_by_a_typed_command_and_escape_changes_nothing(seat):
    async with seat(state_of(study_events(), four_cards()), (120, 40)) as you:
        you.backend.answers = Answers("gpu0")
        await you.press("colon", *"give-back", "enter")
        await you.sees("○ gpu2")
        await you.press("j", "j", "enter")
        await you.sees("Change the study")
        assert changes_asked(you) == [
            console_api.ChangeStudy(STUDY, {"resources": {"devices": [0, 2]}}, True)
        ]
        await you.press("escape")
        await you.until(lambda: "Change the study" not in you.screen(), "the preview is closed")
        assert len(changes_asked(you)) == 1


async def test_the_last_device_is_not_given_back_and_a_refusal_is_said(seat):
    async with seat(state_of(study_events(), no_card()), (120, 40)) as you:
        you.backend.answers = Answers("cpu")
        await you.press("d", "Y")
        await you.sees("● cpu", "the CPU")
        await you.press("enter")
        await you.sees("no device would be left: P pauses all trials")
        assert not changes_asked(you)
        you.backend.refusal = console_api.Reply(0, False, "the study is stopped", "study s", "start it")
        await you.press("Y")
        await you.sees("the study is stopped")


def test_the_form_of_the_study_takes_numbers_of_gpus_or_a_word():
    study = state_of(study_events(), four_cards()).studies[STUDY]
    (row,) = (row for row in study_form.make_rows(study) if row.name == "resources.devices")
    assert row.start == "auto" and "numbers of GPUs" in row.read("gpu0").wrong
    assert row.read(" CPU ").value == "cpu"
    changes = study_form.find_changes(study, {row.name: row.read("2, 0").value})
    assert changes == {"resources": {"devices": [2, 0]}}


def test_a_card_in_mig_mode_is_not_offered_and_a_study_on_the_cpu_has_its_own_word():
    state = state_of(study_events(), four_cards())
    rows = list_devices(state.studies[STUDY], state.machine, ["gpu0"])
    assert [row.label for row in rows if row.used] == ["gpu0"] and rows[0].trials == 4
    assert make_setting(["gpu2", "gpu0"]) == [0, 2] and make_setting(["cpu"]) == "cpu"
