"""The parsers of the commands that plan a study: fit, recommend, check, clean, augment."""

from __future__ import annotations

from typing import Any

from core.cli.parsers.shared_options import add_command, add_json_option, add_spec_argument, parse_number


def add_to(commands: Any) -> None:
    """Add them."""
    _add_cleaning(commands)
    _add_augmenting(commands)
    fit = add_command(commands, "fit", "plan.fit_memory:fit", "estimate the memory of a study, and what fits")
    add_spec_argument(fit)
    fit.add_argument(
        "--gpu",
        metavar="SIZE",
        help='estimate for a GPU of this size, such as "24 GiB"; it need not be installed',
    )
    fit.add_argument("--pack", metavar="N", type=parse_number, help="estimate for N trials at once")
    add_json_option(fit)
    _add_recommending(commands)
    check = add_command(
        commands, "check", "plan.check_study:check", "check a study file and print it with all defaults"
    )
    add_spec_argument(check)
    check.add_argument(
        "--show",
        metavar="N",
        type=parse_number,
        help="print N rows with their target tokens marked, and which rows are left out",
    )
    check.add_argument(
        "--scan",
        metavar="N",
        type=parse_number,
        help="rows to scan for personal data, toxic text and refusals (default 1000; 0: no scan)",
    )
    check.add_argument(
        "--against",
        metavar="FILE",
        nargs="+",
        default=[],
        help="evaluation data: rows that share 12 words in a row with it are found",
    )


def _add_cleaning(commands: Any) -> None:
    clean = add_command(
        commands,
        "clean",
        "plan.clean_rows:clean",
        "write cleaned copies of a study's rows: without duplicates, split, repaired, anonymised",
    )
    add_spec_argument(clean)
    clean.add_argument("-o", "--out", metavar="FOLDER", help="a new folder; the source is never changed")
    clean.add_argument(
        "--duplicates",
        choices=("near", "exact", "keep"),
        default="near",
        help="copies of earlier rows to drop (default: near)",
    )
    clean.add_argument(
        "--anonymise",
        action="store_true",
        help="replace personal data by placeholders such as [EMAIL_1f2e3d4c]",
    )
    clean.add_argument("--salt", metavar="TEXT", help="salt of the placeholders (default: random, printed)")
    clean.add_argument(
        "--long",
        choices=("keep", "drop", "truncate"),
        default="keep",
        help="rows beyond the sequence length (default: keep);\n"
        "truncate leaves out the last turns of a chat, or the end of a plain text",
    )
    clean.add_argument(
        "--against", metavar="FILE", nargs="+", default=[], help="evaluation data: drop rows that contain it"
    )
    clean.add_argument("--dry-run", action="store_true", help="print what would be changed and write nothing")


def _add_augmenting(commands: Any) -> None:
    augment = add_command(
        commands,
        "augment",
        "plan.augment_prompts:augment",
        "write a study's rows with paraphrases of prompts by the base model",
    )
    add_spec_argument(augment)
    augment.add_argument("-o", "--out", metavar="FOLDER", help="a new folder; the source is never changed")
    augment.add_argument(
        "--per-row",
        metavar="N",
        type=parse_number,
        default=2,
        help="paraphrases to try of each row (default: 2)",
    )
    augment.add_argument(
        "--rows", metavar="N", type=parse_number, help="paraphrase N rows, drawn at random (default: all)"
    )
    augment.add_argument(
        "--seed", metavar="N", type=parse_number, help="seed of all draws (default: of the study)"
    )
    augment.add_argument(
        "--temperature",
        metavar="X",
        type=float,
        default=0.8,
        help="of the paraphrases: higher ones differ more, and more of them are dropped (default: 0.8)",
    )


def _add_recommending(commands: Any) -> None:
    recommend = add_command(
        commands,
        "recommend",
        "plan.recommend_spec:recommend",
        "suggest a first study, with a reason and a source for each setting",
    )
    recommend.add_argument("model", metavar="MODEL", help="a model folder or a Hugging Face id")
    recommend.add_argument("data", metavar="DATA", help="a data file, or a hub data set together with --rows")
    recommend.add_argument(
        "--gpu", metavar="CARD", help='plan for a GPU that is not installed: "24 GiB", "H100", "A100 80 GiB"'
    )
    recommend.add_argument(
        "--rows", metavar="N", type=parse_number, help="number of rows in the data set, or to use of it"
    )
    recommend.add_argument("--hours", metavar="H", type=float, help="hours available for the whole study")
    recommend.add_argument("--trials", metavar="N", type=parse_number, help="number of trials")
    recommend.add_argument(
        "--goal", metavar="METRIC", default="eval/loss", help="metric to optimise (default: eval/loss)"
    )
    recommend.add_argument(
        "--out", metavar="FILE", help="write the study file here; an existing file is not overwritten"
    )
    add_json_option(recommend)
