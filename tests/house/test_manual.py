"""The manual says what the declarations say, and every page can be printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.manual import manual_reader
from tests.house import manual

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(manual_reader.FOLDER.glob("*.md"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tables_are_those_of_the_declarations(page):
    text = page.read_text("utf-8")
    assert manual.written(text) == text, "run `python -m tests.house.manual`"


def test_every_table_stands_somewhere():
    names = {name for page in PAGES for _, name, *_ in manual.MARKED.findall(page.read_text("utf-8"))}
    sections = {f"spec.{section}" for section in manual.spec_schema.SECTIONS}
    assert names == {*manual.TABLES, "keys", *sections}


def test_every_key_of_a_study_file_has_a_meaning():
    text = (manual_reader.FOLDER / "study-file.md").read_text("utf-8")
    assert [line for line in text.splitlines() if re.fullmatch(r"\| .*\|\s*\|", line)] == []


@pytest.mark.parametrize("topic", [page.stem for page in PAGES])
def test_a_page_is_printed_as_plain_text(topic, capsys):
    assert main(["help", topic.upper()]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert shown.strip() and not re.search(r"<!--|\*\*|```|^#|^\|", shown, re.MULTILINE)
    wide = [line for line in shown.splitlines() if len(line) > 110]
    assert wide == []


def test_without_a_topic_all_are_listed(capsys):
    assert main(["help"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert all(
        f"  {topic} " in shown and title in shown for topic, title in manual_reader.list_topics().items()
    )


def test_an_unknown_topic_names_the_nearest(capsys):
    assert main(["help", "memmory"]) == exit_codes.BAD_INPUT
    assert "did you mean 'memory'?" in capsys.readouterr().err
    assert main(["help", "xyz"]) == exit_codes.BAD_INPUT
    assert "topics: " in capsys.readouterr().err


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_link_of_a_document_is_dead(document):
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    links = [unquote(link.split("#")[0]) for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    dead = [link for link in links if link and "://" not in link and not (document.parent / link).exists()]
    assert dead == []


def test_the_help_of_a_screen_begins_with_its_keys_and_ends_with_its_page():
    from tui import app  # imports every screen
    from tui.base.base_screen import StudyScreen
    from tui.base.help_screen import PAGE_WIDTH
    from tui.keys.key_declarations import GROUPS

    screens = [kind for kind in _subclasses(StudyScreen) if kind.KEYS]
    assert len(screens) == 16 and app.TrimtabApp
    for screen in screens:
        assert set(screen.KEYS) <= set(GROUPS)
        assert manual_reader.make_plain_page(screen.TOPIC, PAGE_WIDTH).strip()


def _subclasses(kind):
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]


def test_every_key_is_declared_once():
    from tui.keys.key_declarations import GROUPS

    declared = {}
    for group in GROUPS:
        assert len({key.id for key in group}) == len(group.keys)
        assert {key.id for key in group if key.meaning} == {key.id for key in group}
        for key in group:
            assert declared.setdefault(key.id, key) is key
        assert set(group.footer) <= {key.id for key in group}


def test_the_man_page_has_every_command(capsys):
    assert main(["help", "--man"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert shown.startswith(".TH TRIMTAB 1")
    assert all(rf".SS trimtab {name}" in shown for name in ("run", "unprune", "help"))


def test_a_completion_script_names_the_commands(capsys, monkeypatch):
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == exit_codes.OK
    assert "unprune" in capsys.readouterr().out


def test_without_shtab_completion_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == exit_codes.FAILURE
    assert "pip install shtab" in capsys.readouterr().err
