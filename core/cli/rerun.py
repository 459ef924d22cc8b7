"""``trimtab rerun``: a bundle's trial trained again, and is the result the same?

Exit code 0: bit-identical; or the same within the tolerance, where the bits cannot be expected to be. 1: not
the same. What is promised when stands in ``core.store.repeat``.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from core import paths
from core.cli import choose, exits, machine, reach
from core.cli.steer import BY
from core.contract import environment, wire
from core.contract import state as s
from core.contract.plain import plain
from core.contract.spec import Spec
from core.errors import Problem, TrimtabError
from core.store import fingerprint, repeat, sealed, versions

FLAGS = {"model.base": "base", "data.source": "data", "data.validation": "validation"}


def rerun(arguments: argparse.Namespace) -> int:
    """Check the bundle, run its trial through the engine, compare.

    Raises BundleError, SpecError, EngineError, RefusedError.
    """
    with tempfile.TemporaryDirectory(prefix="trimtab-") as scratch:
        bundle = paths.expanded(arguments.bundle).absolute()
        with sealed.opened(bundle, Path(scratch)) as folder:
            return _again(arguments, repeat.read(folder, arguments.trial))


def _again(arguments: argparse.Namespace, one: repeat.Original) -> int:
    _trusted(one, arguments.trust_remote_code)
    given = {key: paths.here(value) for key, flag in FLAGS.items() if (value := getattr(arguments, flag))}
    name = repeat.free_name(str(one.raw["study"]["name"]), reach.known()[0].studies)
    spec = repeat.spec_of(one, name, given)
    doubts = _differences(one, spec, arguments.anyway)
    print(f"{name}: trial {one.number} of {plain(str(one.raw['study']['name']), 80)} again", flush=True)
    code = _run(spec, one.folder)
    if code not in (exits.OK, exits.FAILURE):
        return code
    study = reach.known()[0].studies[name]
    return _judge(arguments, one, study, choose.best(study), doubts)


def _trusted(one: repeat.Original, allowed: bool) -> None:
    """Code of somebody else runs when the user says so, not when a bundle does."""
    model, evaluate = one.raw.get("model", {}), one.raw.get("evaluate", {})
    wanted = []
    if model.get("trust_remote_code"):
        what = "this bundle's base runs code of its model repository (model.trust_remote_code)"
        wanted.append((what, model.get("base", "")))
    if evaluate.get("tasks_path"):
        what = "this bundle's tasks may run code that their YAML files name (evaluate.tasks_path)"
        wanted.append((what, evaluate["tasks_path"]))
    if wanted and not allowed:
        fix = "read that code, then say --trust-remote-code"
        raise TrimtabError(*(Problem(what, plain(str(where), 200), fix) for what, where in wanted))


def _differences(one: repeat.Original, spec: Spec, anyway: bool) -> list[str]:
    """Say what is not as it was. Returns why the same bits cannot be expected.

    Raises BundleError where data or base differ, unless ``anyway``.
    """
    different, unsure = repeat.other_data(one, fingerprint.fingerprints(spec))
    if different and not anyway:
        flags = "--data FILE, --validation FILE or --base MODEL say where it is; --anyway runs all the same"
        raise sealed.BundleError(*(Problem(text, str(one.folder), flags) for text in different))
    changed = versions.differences(one.versions, machine.here(spec.resources.threads))
    for text in (*different, *changed):
        print(f"differs: {plain(text, 300)}")
    for text in unsure:
        print(f"not sure: {plain(text, 300)}")
    return repeat.doubts(one, [*different, *changed])


def _run(spec: Spec, folder: Path) -> int:
    from core.cli import follow
    from core.contract import specfile

    socket = reach.ensured()
    where = str(folder / "study.toml")
    reach.ask(wire.StartStudy(specfile.to_raw(spec), where, BY, environment.here()), socket)
    try:
        return asyncio.run(follow.until_ended(socket, spec.study.name))
    except KeyboardInterrupt:
        print(f"\ndetached; {spec.study.name} goes on, and is not compared", flush=True)
        return exits.INTERRUPTED


# -- the verdict -----------------------------------------------------------------------------------


def _judge(
    arguments: argparse.Namespace, one: repeat.Original, study: s.Study, trial: s.Trial, doubts: list[str]
) -> int:
    values = dict(zip([metric for metric, _ in study.objectives], trial.values, strict=False))
    found = repeat.compare(one, values, Path(study.folder) / trial.adapter)
    for name, (before, now) in found.values.items():
        apart = "not compared: it measures the machine" if name in found.clocks else _apart(found.apart[name])
        print(f"  {name}  {before:.9g} → {now:.9g}  {apart}")
    print(f"  adapter  {_adapter(one, found)}")
    limit = repeat.tolerance(one) if arguments.tolerance is None else arguments.tolerance
    if found.identical:
        print("bit-identical")
        return exits.OK
    for text in doubts:
        print(f"  the same bits were not to be expected: {plain(text, 300)}")
    if found.within(limit) and (doubts or found.other is None or arguments.tolerance is not None):
        print(f"the same within {limit:g}")
        return exits.OK
    print("not the same" if doubts else "not the same bits, though versions, machine and data are")
    return exits.FAILURE


def _apart(relative: float) -> str:
    return "the same bits" if relative == 0 else f"{relative:.2g} of it apart"


def _adapter(one: repeat.Original, found: repeat.Outcome) -> str:
    if found.other is None:
        return f"not compared: the bundle has none of trial {one.number}"
    if found.other == 0:
        return f"the same bits in all {found.tensors} tensors"
    by = "" if found.distance is None else f", by {found.distance:.2g} of their norm at most"
    return f"{found.other} of {found.tensors} tensors differ{by}"
