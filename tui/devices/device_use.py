"""Gives a device of the study back, or uses another: the choice, the engine's preview, the change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from textual.app import App

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import MemoryNow
from core.errors import TrimtabError, join_in_line
from tui.base.base_screen import Console
from tui.base.change_preview import Preview
from tui.devices.device_use_dialog import DeviceUseDialog, list_devices

NONE_LEFT = "no device would be left: P pauses all trials and gives every device back"


class DeviceUse:
    """Asks for one device at a time; the engine knows which the study uses, and refuses what cannot be."""

    def __init__(self, app: App[Any]) -> None:
        self._app, self._console = app, cast(Console, app)

    async def begin(self) -> None:
        """Let the user choose among the machine's devices."""
        study, engine = self._console.study, self._console.engine
        if study is None or study.state not in s.LIVE_STUDY:
            self._console.say(
                "no device is used: " + ("no study" if study is None else f"it is {study.state}")
            )
            return
        if engine.read_only:
            self._console.say("this console only reads")
            return
        answer = await self._ask(console_api.WeighMemory(study.name))
        used = [device.label for device in answer.devices] if isinstance(answer, MemoryNow) else []
        if not used:
            return
        rows = list_devices(study, engine.state.machine, used)

        def choose(label: str | None) -> None:
            if label is None:
                return
            now = [other for other in used if other != label] + ([] if label in used else [label])
            self._app.run_worker(self._preview(study.name, now), group="requests", exit_on_error=False)

        self._app.push_screen(DeviceUseDialog(study.name, rows), choose)

    async def _preview(self, study: str, labels: Sequence[str]) -> None:
        if not labels:
            self._console.say(NONE_LEFT)
            return
        changes = {"resources": {"devices": make_setting(labels)}}
        answer = await self._ask(console_api.ChangeStudy(study, changes, preview=True))
        if not isinstance(answer, console_api.Change):
            return

        def apply(yes: bool | None) -> None:
            if yes:
                self._console.ask(console_api.ChangeStudy(study, changes))

        self._app.push_screen(Preview(study, answer, self._console.look), apply)

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        try:
            answer: console_api.Answer | None = await self._console.engine.ask(request)
        except TrimtabError as error:
            self._console.say(sanitize(join_in_line(error), 300))
            return None
        if answer is None:
            self._console.say("the engine gave no answer: it may be an older version")
        return answer


def make_setting(labels: Sequence[str]) -> str | list[int]:
    """Return the value of resources.devices for these devices. A study uses GPUs or the CPU, not both."""
    numbers = sorted(int(label.removeprefix("gpu")) for label in labels if label != "cpu")
    return numbers or "cpu"
