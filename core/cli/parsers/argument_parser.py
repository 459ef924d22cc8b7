"""The command line: each command with its arguments and the function that it runs.

A function is named and not imported, so that `trimtab status` does not load what `trimtab run` needs.
"""

from __future__ import annotations

import argparse
from typing import Any

from core.cli import exit_codes
from core.cli.parsers import console_options, machine_command_parsers, plan_command_parsers
from core.cli.parsers.shared_options import (
    add_command,
    add_json_option,
    add_name_option,
    add_spec_argument,
    add_study_option,
    add_trust_option,
    parse_number,
    parse_size,
)

DESCRIPTION = """\
Monitor and steer hyper-parameter studies of LoRA and QLoRA fine-tunes.
Without a command, trimtab opens the console; it starts the engine if none is running."""


def make_parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = argparse.ArgumentParser(
        "trimtab",
        description=DESCRIPTION,
        epilog=exit_codes.make_epilog(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    top.set_defaults(verb="core.cli.steer.run_study:attach", study=None, plain=False, host=None)
    console_options.add_to(top)
    commands = top.add_subparsers(metavar="COMMAND", title="commands")
    _add_running(commands)
    plan_command_parsers.add_to(commands)
    _add_steering(commands)
    _add_reading(commands)
    _add_sharing(commands)
    machine_command_parsers.add_to(commands)
    return top


def _add_running(commands: Any) -> None:
    run = add_command(
        commands, "run", "steer.run_study:run", "start a study and open the console, or print its progress"
    )
    add_spec_argument(run)
    start_modes = run.add_mutually_exclusive_group()
    start_modes.add_argument("--detach", action="store_true", help="start the study and return at once")
    start_modes.add_argument("--headless", action="store_true", help="print plain lines until the study ends")
    console_options.add_to(run, argparse.SUPPRESS)
    attach = add_command(
        commands, "attach", "steer.run_study:attach", "open the console, as trimtab without a command does"
    )
    attach.add_argument("study", metavar="STUDY", nargs="?", help="the study to show first")
    attach.add_argument("--host", metavar="NAME", help="a host of `trimtab hosts`, by SSH")
    attach.add_argument("--plain", action="store_true", help="print lines when something has changed")
    console_options.add_to(attach, argparse.SUPPRESS)


def _add_steering(commands: Any) -> None:
    for name, text, for_all in (
        ("pause", "pause a trial before its next micro-batch", "pause all trials and release the GPU"),
        ("resume", "resume a paused trial", "resume the whole paused study"),
        ("prune", "stop a trial early", ""),
    ):
        verb_parser = add_command(commands, name, f"steer.pause_prune_stop:{name}", text)
        verb_parser.set_defaults(name=name)
        verb_parser.add_argument(
            "trial",
            metavar="TRIAL",
            type=parse_number,
            nargs="?" if for_all else None,
            help="the trial's number",
        )
        if for_all:
            verb_parser.add_argument("--all", action="store_true", help=for_all)
        add_study_option(verb_parser)
    add_study_option(
        add_command(
            commands,
            "stop",
            "steer.pause_prune_stop:stop",
            "end the running trials of a study and start no more",
        )
    )
    _add_trials(commands)
    change = add_command(
        commands,
        "change",
        "steer.change_study:change",
        "change a running study: space, sampler, devices, limits …",
    )
    change.add_argument(
        "changes", metavar="KEY=VALUE", nargs="+",
        help="such as study.sampler=gp  resources.pack=4  space.lora_rank='[8, 16]'\n"
        "  space.learning_rate='{low=1e-5, high=1e-4, log=true}'  study.fixed.lora_rank=16\n"
        "  study.stop_after.hours=4  resources.devices='[0, 1]'; the value none removes a key",
    )  # fmt: skip
    change.add_argument(
        "--yes", action="store_true", help="apply the change; without it only a preview is shown"
    )
    add_study_option(change)


def _add_trials(commands: Any) -> None:
    """Add the commands that queue a trial by hand or act on an existing trial."""
    values = "such as learning_rate=1e-4 lora_rank=16"
    new = add_command(commands, "enqueue", "steer.enqueue_clone_edit:enqueue", "queue a trial manually")
    new.add_argument(
        "--like", metavar="N", type=parse_number, help="take the knobs that are not given from trial N"
    )
    clone = add_command(
        commands,
        "clone",
        "steer.enqueue_clone_edit:clone",
        "start a new trial from a trial's checkpoint, with other knobs",
    )
    edit = add_command(commands, "edit", "steer.enqueue_clone_edit:edit", "change knobs of a running trial")
    mark = add_command(
        commands,
        "mark",
        "steer.mark_and_unprune:mark",
        "star a trial, write a note, pin it to a device, set its priority",
    )
    unprune = add_command(
        commands, "unprune", "steer.mark_and_unprune:unprune", "undo a prune while the checkpoint exists"
    )
    for verb_parser in (clone, edit, mark, unprune):
        verb_parser.add_argument("trial", metavar="TRIAL", type=parse_number, help="the trial's number")
    for verb_parser in (new, clone):
        verb_parser.add_argument("knobs", metavar="KNOB=VALUE", nargs="*", help=values)
    edit.add_argument("knobs", metavar="KNOB=VALUE", nargs="+", help=f"{values.split()[2]}, or =x0.5")
    edit.add_argument("--count", action="store_true", help="report the result to the sampler all the same")
    clone.add_argument(
        "--best", action="store_true", help="from the checkpoint of its best evaluation, not the newest"
    )
    stars = mark.add_mutually_exclusive_group()
    stars.add_argument("--star", action="store_true", help="star it")
    stars.add_argument("--unstar", action="store_true", help="remove the star")
    mark.add_argument("--note", metavar="TEXT", help="a note; an empty note removes it")
    mark.add_argument(
        "--device", metavar="DEVICE", help="the only device it may run on, such as gpu0; any removes the pin"
    )
    mark.add_argument(
        "--priority", metavar="P", type=int, help="queued trials with a higher priority start first"
    )
    for verb_parser in (new, clone, edit, mark, unprune):
        add_study_option(verb_parser)


def _add_reading(commands: Any) -> None:
    status = add_command(
        commands,
        "status",
        "inspect.show_status:print_status",
        "print the state of all studies, also without an engine",
    )
    add_json_option(status)
    best = add_command(
        commands,
        "best",
        "inspect.best_and_generate:print_best",
        "print the best trial, its adapter, and how to use it",
    )
    add_study_option(best)
    add_json_option(best)
    boards = add_command(
        commands,
        "boards",
        "inspect.show_boards:print_boards",
        "print the quality, safety and security scores of trials",
    )
    boards.add_argument("trial", metavar="TRIAL", nargs="?", type=parse_number, help="the trial's number")
    add_study_option(boards)
    add_json_option(boards)
    insight = add_command(
        commands,
        "insight",
        "inspect.show_insight:print_insight",
        "print knob importance, the sampler's state, and which trials were pruned",
    )
    insight.add_argument(
        "study", metavar="STUDY", nargs="?", help="default: the only running study, else the latest"
    )
    insight.add_argument(
        "--method", choices=("ped-anova", "fanova"), default="ped-anova", help="fanova needs scikit-learn"
    )
    add_json_option(insight)
    insides = add_command(
        commands,
        "insides",
        "inspect.show_introspection:print_introspection",
        "print a trial's loss by token and its attention",
    )
    insides.add_argument("trial", metavar="TRIAL", type=parse_number, help="the trial's number")
    add_study_option(insides)
    add_json_option(insides)
    logs = add_command(
        commands,
        "logs",
        "inspect.show_events:print_logs",
        "print the last 200 events of a study, or of a trial",
    )
    logs.add_argument("trial", metavar="TRIAL", nargs="?", type=parse_number, help="the trial's number")
    add_study_option(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="keep printing until the study ends")
    generate = add_command(
        commands, "generate", "inspect.best_and_generate:generate", "generate text with a trial's adapter"
    )
    generate.add_argument("prompt", metavar="PROMPT")
    add_study_option(generate)
    generate.add_argument(
        "--trial", metavar="N", type=parse_number, help="use this trial instead of the best one"
    )
    generate.add_argument(
        "--tokens", metavar="N", type=parse_number, default=64, help="largest number of new tokens"
    )
    add_trust_option(generate)


def _add_sharing(commands: Any) -> None:
    export = add_command(
        commands,
        "export",
        "share.export_bundle:export",
        "write a bundle from which others can reproduce the trial",
    )
    add_name_option(export)
    export.add_argument("--out", metavar="FOLDER", help="destination (default: inside the study folder)")
    export.add_argument("--zip", action="store_true", help="write one zip file instead of a folder")
    export.add_argument("--html", metavar="FILE", help="write only the report, as one HTML page")
    export.add_argument(
        "--evidence", action="store_true", help="include prompts and completions of the boards"
    )
    export.add_argument("--force", action="store_true", help="move existing foreign files aside")
    _add_pictures(commands)
    rerun = add_command(
        commands,
        "rerun",
        "share.rerun_bundle:rerun",
        "train the trial of a bundle again and compare the results",
    )
    rerun.add_argument("bundle", metavar="BUNDLE", help="the folder or zip that `trimtab export` wrote")
    rerun.add_argument(
        "--trial", metavar="N", type=parse_number, help="use this trial instead of the exported one"
    )
    rerun.add_argument("--base", metavar="MODEL", help="path of the base model on this machine")
    rerun.add_argument("--data", metavar="FILE", help="path of the training data on this machine")
    rerun.add_argument("--validation", metavar="FILE", help="path of the validation data on this machine")
    rerun.add_argument(
        "--tolerance", metavar="X", type=float, help="largest relative difference that counts as equal"
    )
    rerun.add_argument("--anyway", action="store_true", help="run even if data or base differ")
    add_trust_option(rerun)
    merge = add_command(
        commands,
        "merge",
        "share.merge_model:merge",
        "write a model with a trial's adapter merged into the base",
    )
    add_name_option(merge)
    merge.add_argument("--out", metavar="FOLDER", required=True, help="a new folder")
    add_trust_option(merge)


def _add_pictures(commands: Any) -> None:
    picture = add_command(
        commands,
        "snapshot",
        "share.console_snapshot:save_snapshot",
        "draw a screen of the console as text, SVG or PNG",
    )
    picture.add_argument(
        "study", metavar="STUDY", nargs="?", help="default: the only running study, else the latest"
    )
    picture.add_argument(
        "--screen",
        metavar="NAME",
        nargs="+",
        default=["trials"],
        help="trials, trial N, boards, memory, insight, compare or devices (default: trials)",
    )
    picture.add_argument(
        "--size", metavar="COLUMNSxLINES", type=parse_size, default=(120, 40), help="default: 120x40"
    )
    picture.add_argument(
        "-o", "--out", metavar="FILE", help="ends in .txt, .svg or .png; without it: text on standard output"
    )
