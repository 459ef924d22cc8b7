"""``trimtab help``: the topics of the manual, or the page of one topic."""

from __future__ import annotations

import argparse
import difflib

from core.cli import exit_codes
from core.cli.inspect.man_page import make_man_page
from core.contract.text.sanitize import sanitize
from core.errors import SpecError
from core.manual import manual_reader


def show_manual(arguments: argparse.Namespace) -> int:
    """Print the page of a topic; without a topic, all topics.

    Raises SpecError where the manual has no such topic.
    """
    if arguments.man:
        print(make_man_page(), end="")
        return exit_codes.OK
    topics = manual_reader.list_topics()
    topic = arguments.topic
    if topic is None:
        print(_list_contents(topics))
        return exit_codes.OK
    if topic.lower() not in topics:
        raise SpecError.of(
            f"{sanitize(topic, 60)!r} is not a topic of the manual",
            "help",
            _find_nearest(topic.lower(), list(topics)),
        )
    print(manual_reader.make_plain_page(topic.lower()), end="")
    return exit_codes.OK


def _list_contents(topics: dict[str, str]) -> str:
    width = max(map(len, topics))
    lines = [f"  {topic:<{width}}  {title}" for topic, title in topics.items()]
    return "\n".join(["Topics of the manual (`trimtab help TOPIC` prints one):", *lines])


def _find_nearest(topic: str, topics: list[str]) -> str:
    matches = difflib.get_close_matches(topic, topics, n=1, cutoff=0.5)
    matches = matches or [name for name in topics if topic and topic in name][:1]
    hint = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{hint}topics: {', '.join(topics)}"
