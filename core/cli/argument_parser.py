"""The command line: verbs, their arguments, and the function that each verb runs.

A function is named, not imported: `trimtab status` does not pay for what `trimtab run` needs.
"""

from __future__ import annotations

import argparse
from typing import Any

from core.cli import exit_codes

DESCRIPTION = """\
Monitors and steers hyper-parameter studies of LoRA and QLoRA fine-tunes.
Without a verb it opens the console on the running engine, which it starts when there is none."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        "trimtab",
        description=DESCRIPTION,
        epilog=exit_codes.epilog(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    top.set_defaults(verb="core.cli.steer.run_study:attach", study=None)
    verbs = top.add_subparsers(metavar="VERB", title="verbs")
    _running(verbs)
    _steering(verbs)
    _reading(verbs)
    _giving(verbs)
    _machine(verbs)
    return top


def _verb(verbs: Any, name: str, function: str, text: str) -> argparse.ArgumentParser:
    one = verbs.add_parser(
        name,
        help=text,
        description=text[:1].upper() + text[1:] + ".",
        epilog=exit_codes.epilog(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    one.set_defaults(verb=f"core.cli.{function}")
    return one


def _running(verbs: Any) -> None:
    run = _verb(
        verbs, "run", "steer.run_study:run", "start a study and open the console, or print its progress"
    )
    run.add_argument("spec", metavar="SPEC", help="the study's TOML file")
    how = run.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="start it and return at once")
    how.add_argument("--headless", action="store_true", help="print plain lines until the study ends")
    fit = _verb(verbs, "fit", "plan.fit_memory:fit", "foretell what a study takes of memory, and what fits")
    fit.add_argument("spec", metavar="SPEC", help="the study's TOML file")
    fit.add_argument("--gpu", metavar="SIZE", help='for a GPU of that size, such as "24 GiB", here or not')
    fit.add_argument("--pack", metavar="N", type=number, help="with N trials at once")
    _json(fit)
    _recommending(verbs)
    check = _verb(verbs, "check", "plan.check_spec:check", "check a study file and print what it resolves to")
    check.add_argument("spec", metavar="SPEC", help="the study's TOML file")
    check.add_argument(
        "--show", metavar="N", type=number, help="print N rows as they are trained on, and what is left out"
    )


def _recommending(verbs: Any) -> None:
    one = _verb(
        verbs,
        "recommend",
        "plan.recommend_spec:recommend",
        "say what to begin a study with, why, and who says so",
    )
    one.add_argument("model", metavar="MODEL", help="a model's folder, or a Hugging Face id")
    one.add_argument("data", metavar="DATA", help="a file of rows, or a hub data set with --rows")
    one.add_argument(
        "--gpu", metavar="CARD", help='for a GPU that is not here: "24 GiB", "H100", "A100 80 GiB"'
    )
    one.add_argument("--rows", metavar="N", type=number, help="how many rows there are, or are to be used")
    one.add_argument("--hours", metavar="H", type=float, help="the time that there is for the whole study")
    one.add_argument("--trials", metavar="N", type=number, help="so many trials")
    one.add_argument("--goal", metavar="METRIC", default="eval/loss", help="what to make better: eval/loss")
    one.add_argument("--out", metavar="FILE", help="write the study file there; an old one is not replaced")
    _json(one)


def _steering(verbs: Any) -> None:
    for name, text, whole in (
        ("pause", "pause a trial before its next micro-batch", "all trials, and give the GPU back"),
        ("resume", "let a paused trial go on", "the whole paused study"),
        ("prune", "end a trial early", ""),
    ):
        one = _verb(verbs, name, f"steer.pause_prune_stop:{name}", text)
        one.set_defaults(name=name)
        one.add_argument(
            "trial", metavar="TRIAL", type=number, nargs="?" if whole else None, help="the trial's number"
        )
        if whole:
            one.add_argument("--all", action="store_true", help=whole)
        _study(one)
    _study(
        _verb(verbs, "stop", "steer.pause_prune_stop:stop", "end a study's running trials and start no more")
    )
    _trials(verbs)
    change = _verb(
        verbs, "change", "steer.change_study:change", "change a study as it runs: space, sampler, limits …"
    )
    change.add_argument(
        "changes", metavar="KEY=VALUE", nargs="+",
        help="such as study.sampler=gp  resources.pack=4  space.lora_rank='[8, 16]'\n"
        "  space.learning_rate='{low=1e-5, high=1e-4, log=true}'  study.fixed.lora_rank=16\n"
        "  study.stop_after.hours=4; none as value takes a key out",
    )  # fmt: skip
    change.add_argument(
        "--yes", action="store_true", help="do it; without it what comes of it is shown first"
    )
    _study(change)


def _trials(verbs: Any) -> None:
    """Trials by hand, and what may be done to one that is there."""
    values = "such as learning_rate=1e-4 lora_rank=16"
    new = _verb(verbs, "enqueue", "steer.enqueue_clone_edit:enqueue", "queue a trial by hand")
    new.add_argument("--like", metavar="N", type=number, help="with the knobs of trial N where none is given")
    clone = _verb(
        verbs,
        "clone",
        "steer.enqueue_clone_edit:clone",
        "go on from a trial's checkpoint, beside it, changed",
    )
    edit = _verb(verbs, "edit", "steer.enqueue_clone_edit:edit", "change knobs of a trial as it runs")
    mark = _verb(verbs, "mark", "steer.mark_trial:mark", "star, note, pin or order a trial")
    unprune = _verb(
        verbs, "unprune", "steer.mark_trial:unprune", "take a prune back while the checkpoint exists"
    )
    for one in (clone, edit, mark, unprune):
        one.add_argument("trial", metavar="TRIAL", type=number, help="the trial's number")
    for one in (new, clone):
        one.add_argument("knobs", metavar="KNOB=VALUE", nargs="*", help=values)
    edit.add_argument("knobs", metavar="KNOB=VALUE", nargs="+", help=f"{values.split()[2]}, or =x0.5")
    edit.add_argument("--count", action="store_true", help="tell the sampler the result all the same")
    stars = mark.add_mutually_exclusive_group()
    stars.add_argument("--star", action="store_true", help="star it")
    stars.add_argument("--unstar", action="store_true", help="take the star away")
    mark.add_argument("--note", metavar="TEXT", help="a note; an empty one removes it")
    mark.add_argument(
        "--device", metavar="DEVICE", help="the only device it may run on, such as gpu0; or any"
    )
    mark.add_argument("--priority", metavar="P", type=int, help="queued trials with a higher one start first")
    for one in (new, clone, edit, mark, unprune):
        _study(one)


def _reading(verbs: Any) -> None:
    status = _verb(
        verbs, "status", "inspect.show_status:status", "say how the studies stand, also without an engine"
    )
    _json(status)
    best = _verb(
        verbs, "best", "inspect.best_trial:best", "print the best trial, its adapter, and how to use it"
    )
    _study(best)
    _json(best)
    boards = _verb(
        verbs,
        "boards",
        "inspect.show_boards:boards",
        "print what trials score in quality, safety and security",
    )
    boards.add_argument("trial", metavar="TRIAL", nargs="?", type=number, help="the trial's number")
    _study(boards)
    _json(boards)
    insight = _verb(
        verbs,
        "insight",
        "inspect.show_insight:insight",
        "print which knobs matter, how the sampler stands, who was stopped",
    )
    insight.add_argument(
        "study", metavar="STUDY", nargs="?", help="without it the only running, else the latest"
    )
    insight.add_argument(
        "--method", choices=("ped-anova", "fanova"), default="ped-anova", help="fanova needs scikit-learn"
    )
    _json(insight)
    insides = _verb(
        verbs,
        "insides",
        "inspect.show_introspection:insides",
        "print where a trial's loss is and where it looks",
    )
    insides.add_argument("trial", metavar="TRIAL", type=number, help="the trial's number")
    _study(insides)
    _json(insides)
    logs = _verb(
        verbs, "logs", "inspect.show_events:logs", "print the last 200 events of a study, or of a trial"
    )
    logs.add_argument("trial", metavar="TRIAL", nargs="?", type=number, help="the trial's number")
    _study(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the study ends")
    generate = _verb(
        verbs, "generate", "inspect.best_trial:generate", "generate a text with a trial's adapter"
    )
    generate.add_argument("prompt", metavar="PROMPT")
    _study(generate)
    generate.add_argument("--trial", metavar="N", type=number, help="instead of the best trial")
    generate.add_argument("--tokens", metavar="N", type=number, default=64, help="at most N new tokens")
    _trusted(generate)


def _giving(verbs: Any) -> None:
    export = _verb(
        verbs, "export", "share.export_bundle:export", "write a bundle that somebody else can run again"
    )
    _named(export)
    export.add_argument("--out", metavar="FOLDER", help="where to, instead of the study's own folder")
    export.add_argument("--zip", action="store_true", help="one zip instead of a folder")
    export.add_argument("--html", metavar="FILE", help="only the report, as one page")
    export.add_argument("--evidence", action="store_true", help="prompts and answers of the boards, too")
    export.add_argument("--force", action="store_true", help="move aside what is there and is not ours")
    rerun = _verb(
        verbs, "rerun", "share.rerun_bundle:rerun", "repeat a bundle's trial and say whether it is the same"
    )
    rerun.add_argument("bundle", metavar="BUNDLE", help="the folder or zip that `trimtab export` wrote")
    rerun.add_argument("--trial", metavar="N", type=number, help="instead of the exported trial")
    rerun.add_argument("--base", metavar="MODEL", help="the base model's place on this machine")
    rerun.add_argument("--data", metavar="FILE", help="the training data's place on this machine")
    rerun.add_argument("--validation", metavar="FILE", help="that of the validation data")
    rerun.add_argument("--tolerance", metavar="X", type=float, help="relative difference that is the same")
    rerun.add_argument("--anyway", action="store_true", help="also when data or base differ")
    _trusted(rerun)
    merge = _verb(
        verbs, "merge", "share.merge_model:merge", "write a model with a trial's adapter merged into it"
    )
    _named(merge)
    merge.add_argument("--out", metavar="FOLDER", required=True, help="a new folder")
    _trusted(merge)


def _named(one: argparse.ArgumentParser) -> None:
    one.add_argument("study", metavar="STUDY", nargs="?", help="else the only running one, or the latest")
    one.add_argument("--trial", metavar="N", type=number, help="instead of the best trial")


def _machine(verbs: Any) -> None:
    _json(
        _verb(verbs, "doctor", "plan.run_doctor:doctor", "check driver, CUDA, libraries, disk and terminal")
    )
    engine = _verb(verbs, "engine", "steer.control_engine:engine", "say how the engine is, or stop it")
    engine.add_argument("action", choices=("status", "stop"))
    engine.add_argument("--force", action="store_true", help="stop even while a study runs")


def _trusted(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--trust-remote-code", action="store_true", help="let code of the base's model repository run"
    )


def _study(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--study", metavar="NAME", help="the study; without it the only running one, else the latest"
    )


def _json(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="one JSON object instead of text")


def number(text: str) -> int:
    """A count from 0; argparse turns the error into a usage message."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value
