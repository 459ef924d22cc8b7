"""``python -m tests.tui.picture``: draw the README's picture from the scene, by the program itself."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.tui.conftest import Backend
from tests.tui.scene import NOW, four_cards, gpu_packs, state_of, study_events
from tui.app import TrimtabApp

PICTURE = Path(__file__).with_name("readme.svg")


async def draw() -> None:
    """Attach a console to the scene and keep what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        backend = Backend(Path(folder) / "e.sock", state_of(study_events(), four_cards(), gpu_packs()))
        await backend.open()
        app = TrimtabApp(backend.socket, None, clock=lambda: NOW)
        async with app.run_test(size=(150, 38)) as pilot:
            while not app.engine.attached:
                await pilot.pause(0.05)
            await pilot.pause(1.0)
            await pilot.press(*"jjjjjj")
            await pilot.pause(1.0)
            PICTURE.write_text(app.export_screenshot(title="trimtab"), "utf-8")
        await backend.runner.cleanup()


if __name__ == "__main__":
    asyncio.run(draw())
    print(PICTURE)
