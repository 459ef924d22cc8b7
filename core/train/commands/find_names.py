"""``python -P -m core.train.commands.find_names MODEL``: finds names of people in texts from standard input.

Messages are of msgpack, each with its length before it: lists of texts come, and each is answered by a Found.
It ends with its standard input.
"""

from __future__ import annotations

import os
import sys

import torch

from core.data.scan.name_process import Found
from core.data.scan.scan_process import receive, send
from core.errors import TrimtabError, join_in_line
from core.train.evaluation.person_name_classifier import load_name_finder
from core.train.quiet_libraries import set_environment, silence_transformers


def main(argv: list[str]) -> int:
    """Say that the model is loaded, then answer. Returns the exit code."""
    set_environment()
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    silence_transformers()
    try:
        find = load_name_finder(argv[0], torch.device("cpu"))
    except TrimtabError as error:
        send(answers, Found(fault=join_in_line(error)))
        return 1
    send(answers, Found())
    while (texts := receive(asked, list[bytes])) is not None:
        named = find([text.decode() for text in texts]) if texts else []
        send(answers, Found([[(match.start, match.end) for match in matches] for matches in named]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
