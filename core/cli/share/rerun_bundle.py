"""``trimtab rerun``: trains a bundle's trial again and compares the results.

Exit code 0: bit-identical; or equal within the tolerance, where identical bits cannot be expected. 1: not
equal. ``core.store.bundle.rerun_study`` documents what is guaranteed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from core import paths
from core.cli import exit_codes, reach_engine, resolve_trial
from core.cli.share import environment_snapshot
from core.cli.steer.pause_prune_stop import BY
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, shell_environment
from core.errors import Problem, TrimtabError
from core.store import input_fingerprints
from core.store.bundle import bundle_hash_manifest, package_versions, rerun_comparison, rerun_study

FLAGS = {"model.base": "base", "data.source": "data", "data.validation": "validation"}


def rerun(arguments: argparse.Namespace) -> int:
    """Check the bundle, run its trial through the engine, and compare the results.

    Raises BundleError, SpecError, EngineError, RefusedError.
    """
    with tempfile.TemporaryDirectory(prefix="trimtab-") as scratch:
        bundle = paths.expand_home(arguments.bundle).absolute()
        with bundle_hash_manifest.open_bundle(bundle, Path(scratch)) as folder:
            return _rerun(arguments, rerun_study.read(folder, arguments.trial))


def _rerun(arguments: argparse.Namespace, original: rerun_study.Original) -> int:
    replaced_paths = {
        key: paths.resolve_here(value) for key, flag in FLAGS.items() if (value := getattr(arguments, flag))
    }
    name = rerun_study.free_name(original.spec.study.name, reach_engine.read_state()[0].studies)
    spec = rerun_study.make_spec(original, name, replaced_paths)
    _check_foreign_code(spec, arguments.trust_remote_code)
    doubts = _list_differences(original, spec, arguments.anyway)
    print(
        f"{name}: trial {original.number} of {sanitize(original.spec.study.name, 80)} again",
        flush=True,
    )
    code = _run(spec, original.folder)
    if code not in (exit_codes.OK, exit_codes.FAILURE):
        return code
    study = reach_engine.read_state()[0].studies[name]
    return _judge(arguments, original, study, resolve_trial.find_best(study), doubts)


def _check_foreign_code(spec: StudySpec, allowed: bool) -> None:
    """Raise TrimtabError if the study would run foreign code that the user has not allowed."""
    foreign_code = []
    if spec.model.trust_remote_code:
        message = "the base model of this bundle runs code from its repository (model.trust_remote_code)"
        foreign_code.append((message, spec.model.base))
    if spec.evaluate.tasks_path:
        message = (
            "the evaluation tasks of this bundle may run code named in their YAML files (evaluate.tasks_path)"
        )
        foreign_code.append((message, spec.evaluate.tasks_path))
    if foreign_code and not allowed:
        fix = "review that code, then add --trust-remote-code"
        raise TrimtabError(
            *(Problem(message, sanitize(str(location), 200), fix) for message, location in foreign_code)
        )


def _list_differences(original: rerun_study.Original, spec: StudySpec, anyway: bool) -> list[str]:
    """Print the differences from the original run. Returns why identical bits cannot be expected.

    Raises BundleError where data or base differ, unless ``anyway``.
    """
    different, unsure = rerun_study.compare_data(original, input_fingerprints.fingerprint_inputs(spec))
    if different and not anyway:
        flags = "locate it with --data FILE, --validation FILE or --base MODEL, or run with --anyway"
        raise bundle_hash_manifest.BundleError(
            *(Problem(text, str(original.folder), flags) for text in different)
        )
    other_versions = package_versions.list_differences(
        original.versions, environment_snapshot.record_environment(spec.resources.threads)
    )
    for text in (*different, *other_versions):
        print(f"differs: {sanitize(text, 300)}")
    for text in unsure:
        print(f"uncertain: {sanitize(text, 300)}")
    return rerun_study.list_doubts(original, [*different, *other_versions])


def _run(spec: StudySpec, folder: Path) -> int:
    from core.cli.inspect import follow_study
    from core.contract.spec import spec_file

    socket = reach_engine.ensure_engine()
    spec_location = str(folder / "study.toml")
    reach_engine.ask(
        console_api.StartStudy(
            spec_file.convert_to_raw(spec), spec_location, BY, shell_environment.read_own()
        ),
        socket,
    )
    try:
        return asyncio.run(follow_study.follow_until_ended(socket, spec.study.name))
    except KeyboardInterrupt:
        print(f"\ndetached; {spec.study.name} continues, and is not compared", flush=True)
        return exit_codes.INTERRUPTED


# -- the verdict -----------------------------------------------------------------------------------


def _judge(
    arguments: argparse.Namespace,
    original: rerun_study.Original,
    study: s.Study,
    trial: s.Trial,
    doubts: list[str],
) -> int:
    values = dict(zip([metric for metric, _ in study.objectives], trial.values, strict=False))
    outcome = rerun_comparison.compare(original, values, Path(study.folder) / trial.adapter)
    for name, (before, now) in outcome.values.items():
        apart = (
            "not compared: it depends on the machine"
            if name in outcome.clocks
            else _format_difference(outcome.apart[name])
        )
        print(f"  {name}  {before:.9g} → {now:.9g}  {apart}")
    print(f"  adapter  {_describe_adapter(original, outcome)}")
    limit = rerun_comparison.find_tolerance(original) if arguments.tolerance is None else arguments.tolerance
    if outcome.identical:
        print("bit-identical")
        return exit_codes.OK
    for text in doubts:
        print(f"  identical bits were not expected: {sanitize(text, 300)}")
    if outcome.agrees_within(limit) and (doubts or outcome.other is None or arguments.tolerance is not None):
        print(f"equal within {limit:g}")
        return exit_codes.OK
    print("not equal" if doubts else "not bit-identical, although versions, machine and data are the same")
    return exit_codes.FAILURE


def _format_difference(relative: float) -> str:
    return "identical bits" if relative == 0 else f"relative difference {relative:.2g}"


def _describe_adapter(original: rerun_study.Original, outcome: rerun_comparison.Outcome) -> str:
    if outcome.other is None:
        return f"not compared: the bundle has no adapter of trial {original.number}"
    if outcome.other == 0:
        return f"identical bits in all {outcome.tensors} tensors"
    distance_text = "" if outcome.distance is None else f", by {outcome.distance:.2g} of their norm at most"
    return f"{outcome.other} of {outcome.tensors} tensors differ{distance_text}"
