"""``trimtab recommend MODEL DATA``: recommends a study file, with reasons and sources.

``--json`` prints {"fits", "doubts", "lines": [{"section", "knob", "value", "why", "sources"}], "toml"}.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

from core import paths
from core.advise import base_facts, row_statistics, spec_writer, trial_duration
from core.advise.advice_case import Case, Wish
from core.advise.knob_recommendation import Line
from core.advise.row_statistics import Rows
from core.advise.study_recommendations import Plan, make_plan
from core.cli import exit_codes, output_formatting
from core.cli.plan import target_device
from core.contract.spec import spec_file
from core.contract.spec.metric_table import OBJECTIVES
from core.contract.spec.study_spec import AUTO
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize
from core.errors import SpecError
from core.memory.base import config_json_lookup
from core.memory.estimate.device_constants import Device
from core.memory.planning import memory_budget

UNREAD_TOKENS = (128, 256, 512, 1024)  # assumed lengths for rows that were not read
NARROW, WIDE = 60, 140  # columns


def recommend(arguments: argparse.Namespace) -> int:
    """Print the recommendations and the study file; code 1 when no trial of this model fits."""
    case = _make_case(arguments)
    advice = make_plan(case)
    head = f"trimtab recommend: {case.base.name} on {case.rows.count} rows, for {case.device.name}"
    toml = spec_writer.write_page(advice, sanitize(head))
    spec_file.parse(advice.convert_to_raw(), "the recommended study")
    if arguments.out:
        _write(Path(arguments.out), toml)
    if arguments.json:
        _dump(advice, toml)
    else:
        _print(advice, head)
        print(
            f"written: {sanitize(arguments.out)}" if arguments.out else f"\n{toml}",
            end="\n" * bool(arguments.out),
        )
    return exit_codes.OK if advice.fits else exit_codes.FAILURE


# -- the question ----------------------------------------------------------------------------------


def _make_case(arguments: argparse.Namespace) -> Case:
    wish = _make_wish(arguments)
    rows = _read_rows(arguments.data, arguments.rows)
    model = arguments.model
    if not config_json_lookup.is_local(model):
        print(
            f"fetching the configuration of {sanitize(model, 200)} from the hub …",
            file=sys.stderr,
            flush=True,
        )
    device, cards = (_parse_gpu(arguments.gpu), 1) if arguments.gpu else target_device.choose_device(AUTO)
    base = base_facts.find_base(model)
    return Case(
        replace(base, name=paths.resolve_here(model)), rows, paths.resolve_here(arguments.data), device,
        memory_budget.find_limit(None, device), wish, cards,
    )  # fmt: skip


def _make_wish(arguments: argparse.Namespace) -> Wish:
    if arguments.goal not in OBJECTIVES:
        message = f"--goal {sanitize(arguments.goal, 60)!r} cannot be an objective"
        raise SpecError.of(message, "command line", spec_file.suggest_name(arguments.goal, OBJECTIVES))
    for name in ("hours", "trials", "rows"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < float("inf"):
            raise SpecError.of(f"--{name} {value:g} is not above 0", "command line", f"such as --{name} 8")
    return Wish(arguments.goal, arguments.trials, arguments.hours, arguments.rows)


def _read_rows(source: str, count: int | None) -> Rows:
    statistics = row_statistics.read(source)
    if statistics is not None:
        return statistics
    if count is None:
        message = "the data cannot be read as a local file"
        raise SpecError.of(
            message, f"DATA = {sanitize(source, 200)!r}", "give the number of rows with --rows"
        )
    note = "the rows were not read: 128 to 1024 tokens each are assumed, all of them trained on"
    return Rows(count, UNREAD_TOKENS, notes=(note,))


def _parse_gpu(gpu: str) -> Device:
    """Return a GPU by its name, its size, or both."""
    known_card = trial_duration.find_card(gpu)
    if known_card is None:
        return target_device.make_device(gpu)
    words = [
        word for word in gpu.replace("-", " ").split() if word.upper() not in known_card.name.upper().split()
    ]
    size_text = " ".join(word for word in words if word.upper() not in ("NVIDIA", "RTX", "GEFORCE", "TESLA"))
    device = target_device.make_device(size_text or byte_sizes.format_bytes(known_card.memory_bytes))
    name = known_card.name if known_card.name[0].isalpha() else f"RTX {known_card.name}"
    return Device(
        "cuda",
        f"{name} of {byte_sizes.format_bytes(device.total_bytes)}",
        device.total_bytes,
        device.total_bytes,
    )


# -- the answer ------------------------------------------------------------------------------------


def _write(place: Path, text: str) -> None:
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SpecError.of(
            "the file already exists", f"--out {sanitize(str(place), 200)}", "choose another name"
        ) from error
    except OSError as error:
        message = f"the file cannot be written: {sanitize(str(error), 200)}"
        raise SpecError.of(message, f"--out {sanitize(str(place), 200)}", "choose a writable path") from error


def _print(advice: Plan, head: str) -> None:
    width = max(NARROW, min(WIDE, shutil.get_terminal_size().columns))
    print(sanitize(head))
    citations = list(dict.fromkeys(str(source) for line in advice.lines for source in line.sources))
    for section in spec_file.SECTION_NAMES:
        if advice.list_section(section):
            print(f"\n[{section}]")
        for line in advice.list_section(section):
            _print_row(line, [citations.index(str(source)) + 1 for source in line.sources], width)
    print("\nsources")
    for number, source in enumerate(citations, 1):
        _print_wrapped(f"[{number}] {source}", 2, 7, width)
    if advice.doubts:
        print("\nuncertain")
    for doubt in advice.doubts:
        _print_wrapped(f"- {doubt}", 2, 4, width)
    print()


def _print_row(line: Line, numbers: list[int], width: int) -> None:
    marks = "".join(f"[{number}]" for number in numbers)
    line_text = f"{spec_writer.write_line(line)} · {line.why} {marks}"
    if len(sanitize(line_text)) <= width - 2:
        _print_wrapped(line_text, 2, 6, width)
        return
    _print_wrapped(spec_writer.write_line(line), 2, 6, width)
    _print_wrapped(f"{line.why} {marks}", 6, 6, width)


def _print_wrapped(words: str, first: int, later: int, width: int) -> None:
    wrapper = textwrap.TextWrapper(
        width, " " * first, " " * later, break_on_hyphens=False, break_long_words=False
    )
    print(wrapper.fill(sanitize(words, 1200)))


def _dump(advice: Plan, toml: str) -> None:
    lines = [
        {
            "section": line.section, "knob": line.knob, "value": line.value, "why": sanitize(line.why),
            "sources": [str(source) for source in line.sources],
        }
        for line in advice.lines
    ]  # fmt: skip
    output_formatting.dump(
        {
            "fits": advice.fits,
            "doubts": [sanitize(doubt) for doubt in advice.doubts],
            "lines": lines,
            "toml": toml,
        }
    )
