"""The keys of console.toml: checked before they replace the declared ones."""

from __future__ import annotations

from collections.abc import Mapping

from tui.keys.chart_key_groups import CHARTS
from tui.keys.key_declarations import ALWAYS, EVERYWHERE, GROUPS, STEERING, STUDY, TRIAL
from tui.keys.key_definition import Group

TOGETHER = ((STUDY, STEERING, EVERYWHERE, ALWAYS), (TRIAL, CHARTS, STEERING, EVERYWHERE, ALWAYS))


def check_key_map(custom_keys: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the usable part of ``custom_keys`` (keys by id), and in words what is left out: ids that
    there are not, and keys that another act of the same screen has."""
    declared = {key.id: key.keys for group in GROUPS for key in group}
    faults = [f"console.toml, keys: there is no {name!r}" for name in custom_keys if name not in declared]
    usable: dict[str, str] = {}
    for name, keys in custom_keys.items():
        if name not in declared:
            continue
        clash = _find_clash({**usable, name: keys}, name)
        if clash:
            faults.append(f"console.toml, keys: {name} = {keys!r}: {clash}")
        else:
            usable[name] = keys
    return usable, faults


def _find_clash(key_map: Mapping[str, str], name: str) -> str:
    """Return whose key the new one of ``name`` is already, on a screen that has both; empty for none."""
    for groups in (*TOGETHER, *((group, EVERYWHERE, ALWAYS) for group in GROUPS)):
        concerned = any(key.id == name for group in groups for key in group)
        if concerned and (clash := _find_clash_in(groups, key_map, name)):
            return clash
    return ""


def _find_clash_in(groups: tuple[Group, ...], key_map: Mapping[str, str], name: str) -> str:
    new = set(key_map[name].split(","))
    for group in groups:
        for key in group:
            clashing = new & set(key_map.get(key.id, key.keys).split(","))
            if key.id != name and clashing:
                return f"{sorted(clashing)[0]} is {key.id} on the same screen: move that first"
    return ""
