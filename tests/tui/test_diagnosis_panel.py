"""The diagnosis beside the curves: sentences, and remedies that a key sends."""

from __future__ import annotations

from textual.app import App

from core.contract.events.machine_reading import Device
from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series, add_all
from core.contract.wire import console_api
from tests.tui.conftest import strips_of
from tui.theme_colors import Palette
from tui.trial.diagnosis_panel import DiagnosisPanel

STUDY = s.Study("s", spec=spec_file.convert_to_raw(spec_file.parse(
    {"study": {"name": "s"}, "model": {"base": "b"}, "data": {"source": "rows.jsonl"}}
)))  # fmt: skip


def curve(*values: float, apart: int = 10) -> Series:
    return add_all(Series(), [((at + 1) * apart, value) for at, value in enumerate(values)])


def overfitted() -> s.Trial:
    falling = [3.0 * 0.97**at for at in range(100)]
    series = {
        "train/loss": curve(*falling, apart=1),
        "eval/loss": curve(2.6, 2.4, 2.2, 2.25, 2.4, 2.6, 2.8, 3.0, 3.1, 3.2),
    }
    return s.Trial(
        4,
        s.RUNNING,
        step=100,
        total_steps=200,
        series=series,
        knobs={"learning_rate": 1e-3, "clip_norm": 1.0},
    )


class Stage(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[object] = []

    def compose(self):
        yield DiagnosisPanel()

    def on_diagnosis_panel_chosen(self, message: DiagnosisPanel.Chosen) -> None:
        self.chosen.append(message.remedy.request)


def shown(app: App[None]) -> str:
    return "\n".join(strip.text for strip in strips_of(app))


async def test_a_sentence_stands_with_its_remedies_and_enter_sends_the_chosen_one():
    app = Stage()
    async with app.run_test(size=(80, 20)) as pilot:
        panel, look = app.query_one(DiagnosisPanel), Palette(app.get_css_variables())
        assert not panel.display, "nothing was read yet"
        panel.show(STUDY, overfitted(), look)
        await pilot.pause()
        assert panel.display and "overfitting since step 40" in shown(app)
        assert "the evaluation loss was best at step 30 (2.2)" in " ".join(
            shown(app).replace("│", "").split()
        )
        panel.focus()
        await pilot.press("down", "enter", "down", "enter")
        assert app.chosen == [
            console_api.EditTrial("s", 4, {"steps": 101}),
            console_api.CloneTrial("s", 4, {"learning_rate": 0.0005}),
        ]
        panel.show(STUDY, s.Trial(5, s.RUNNING), look)
        assert not panel.display, "a trial that has just begun has no diagnosis"
        hot = Device(0, "H100", slowed_by=("sw-thermal",), temperature_c=91.0)
        panel.show(STUDY, s.Trial(5, s.RUNNING, device="gpu0"), look, s.Machine(devices=(hot,)))
        await pilot.pause()
        assert "too hot: the driver lowers its clock, 91 °C" in shown(app)
