"""The report is one page that loads nothing and obeys nothing."""

from html.parser import HTMLParser

import msgspec
import pytest

from core.contract.events import event_types as e
from core.store.report.html_report import write_page
from tests.hostile import harm, hostile

VOID = {"meta", "br", "rect", "circle", "polyline"}
FORBIDDEN = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "audio", "video", "a"}


class Reader(HTMLParser):
    """Fails for a tag that is not closed in order; keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.shown: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.names |= {name for name, _ in attributes}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.names |= {name for name, _ in attributes}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.shown.append(data)


def test_it_shows_result_knobs_curves_boards_trials_decisions_and_origin(report):
    read = Reader(write_page(report()))
    shown = " ".join(read.shown)
    for part in (
        "tidy-7b",
        "Trial 4",
        "1.21",
        "lora_rank",
        "safety/toxicity",
        "≤ 8% broken",
        "median pruner",
    ):
        assert part in shown, part
    for part in ("train.jsonl", "study.toml", "torch", "no canaries were planted", "more curves"):
        assert part in shown, part
    assert read.tags.count("svg") > 10


def test_it_works_offline_and_runs_nothing(report):
    made = write_page(report())
    read = Reader(made)
    assert not FORBIDDEN & set(read.tags)
    assert not {name for name in read.names if name.startswith("on") or name in ("href", "src", "style")}
    assert "default-src 'none'" in made and "@import" not in made and "url(" not in made
    assert "prefers-color-scheme:dark" in made


def poisoned(event: e.Event) -> e.Event:
    """Other text in all that is not checked when a study starts."""
    kept = {name: getattr(event, name) for name in ("study", "outcome", "level") if hasattr(event, name)}
    return msgspec.structs.replace(hostile(event), **kept)


def test_hostile_text_is_shown_and_does_nothing(report, events):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    noted = [
        e.StudyNoted(at=1.0, study="tidy-7b", text=evil),
        e.StudyPaused(at=1.0, study="tidy-7b", by=evil),
    ]
    read = Reader(write_page(report([poisoned(event) for event in events] + noted)))
    assert not FORBIDDEN & set(read.tags) and "alert(1)" in "".join(read.shown)
    assert not harm("".join(read.shown).replace("\u00ad", ""))


@pytest.mark.parametrize("count", [1, 2])
def test_a_study_that_has_hardly_begun_has_a_page_too(report, events, count):
    assert "No trial is complete." in "".join(Reader(write_page(report(events[:count]))).shown)
