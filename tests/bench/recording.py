"""``python -m tests.bench.recording``: the demo as an animated SVG, drawn by the console on a real engine.

The pictures are taken at the moments of PLAN while the demo trains; played back, each is shown for HOLD_S.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from pathlib import Path

from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.state import study_progress
from core.contract.wire import console_api, engine_client
from tests.bench.demo import CONFIG
from tests.bench.live import empty_home
from tests.daemon.conftest import Engine
from tui.app import TrimtabApp

PICTURE = Path(__file__).resolve().parents[1] / "tui" / "demo.svg"
SIZE, HOLD_S = (120, 34), 1.6
# at this share of the study's steps, or as soon as so many trials have scores, these keys are pressed before
# the picture
PLAN: tuple[tuple[float, int, tuple[str, ...]], ...] = (
    (0.0, 0, ()), (0.01, 0, ("j",)), (0.05, 0, ("enter",)), (0.08, 0, ("escape",)), (0.12, 0, ("p",)),
    (0.15, 0, ("p",)), (0.2, 0, ("m",)), (0.25, 0, ("escape",)), (0.3, 0, ()), (0.4, 0, ()), (0.6, 0, ()),
    (0.8, 0, ("i", "tab", "tab")), (0.9, 0, ("escape",)), (1.0, 1, ("b", "tab")), (1.0, 1, ("tab",)),
    (1.0, 3, ("escape",)),
)  # fmt: skip
LONGEST_S = 540.0


async def record(engine: Engine) -> list[str]:
    """Start the demo, attach a console, follow the plan; one SVG per moment."""
    raw = spec_file.convert_to_raw(spec_file.load(CONFIG))
    name, until = raw["study"]["name"], time.monotonic() + LONGEST_S
    await engine_client.request(engine.socket, console_api.StartStudy(raw, by="recording"))
    app, pictures = TrimtabApp(engine.socket, name), []
    async with app.run_test(size=SIZE) as pilot:
        for share, scored, keys in PLAN:
            while time.monotonic() < until and not _reached(
                app.engine.state.studies.get(name), share, scored
            ):
                await pilot.pause(0.5)
            await pilot.press(*keys)
            await pilot.pause(2.0)
            pictures.append(app.export_screenshot(title="trimtab run configs/demo.toml"))
            print(f"{share:.0%} {' '.join(keys)}", file=sys.stderr, flush=True)
    return pictures


def _reached(study: s.Study | None, share: float, scored: int) -> bool:
    if study is None:
        return False
    done = sum(bool(trial.scores) and trial.scoring < 0 for trial in study.trials.values())
    return study.state not in s.LIVE_STUDY or (
        study_progress.find_done_share(study) >= share and done >= scored
    )


def animated(pictures: list[str]) -> str:
    """The pictures as frames of one SVG; each is visible for its share of the time, over and over."""
    total = HOLD_S * len(pictures)
    frames = []
    for number, picture in enumerate(pictures):
        times = sorted({0.0, number / len(pictures), (number + 1) / len(pictures)} - {1.0})
        values = ["visible" if at == number / len(pictures) else "hidden" for at in times]
        keys = ";".join(f"{at:.4f}" for at in times)
        show = (
            f'<animate attributeName="visibility" dur="{total:g}s" repeatCount="indefinite" '
            f'calcMode="discrete" keyTimes="{keys}" values="{";".join(values)}"/>'
        )
        hidden = "visible" if not number else "hidden"
        inside = re.sub(r"<!--.*?-->|^\s+", "", picture, flags=re.MULTILINE)
        frames.append(f'<g visibility="{hidden}">{show}{inside}</g>')
    box = re.search(r'viewBox="[^"]*"', pictures[0])
    assert box is not None
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box[0]}>\n' + "\n".join(frames) + "\n</svg>\n"


def main() -> int:
    """Record, and write the picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=PICTURE)
    chosen = options.parse_args()
    with empty_home() as engine:
        engine.start()
        pictures = asyncio.run(record(engine))
    chosen.out.write_text(animated(pictures), "utf-8")
    print(f"{chosen.out}: {chosen.out.stat().st_size / 2**20:.1f} MiB, {len(pictures)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
