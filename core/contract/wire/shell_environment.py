"""Environment variables that a study takes from the shell that starts it, since a running engine has older
ones of its own.

Values that are secrets are kept only in memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from core import paths
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor

PLACES = (
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN_PATH",
    "XDG_CACHE_HOME", "TRIMTAB_CACHE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
SECRET = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# only for this start: the next job may have other cards
DEVICES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")  # settings of torch's
# The passes of a study differ in shape from round to round. With fixed segments the allocator keeps blocks of
# sizes that do not come again; segments that grow are used for any size.
SEGMENTS = "expandable_segments:True"
NAMES = (
    "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_ENDPOINT", *PLACES, *PROXIES,
    *(proxy.upper() for proxy in PROXIES), *DEVICES, *SECRET, *ALLOCATOR, "OMP_NUM_THREADS",
)  # fmt: skip
HIDES = ("NoDevFiles", "none", "void")  # of CUDA_VISIBLE_DEVICES, as Slurm and container runtimes write it


def hides_gpus(visible: str | None) -> bool:
    """Tell whether CUDA_VISIBLE_DEVICES hides all GPUs."""
    if visible is None:
        return False
    first = visible.split(",")[0].strip()
    return not first or first in HIDES or parse_card_number(first) < 0


def parse_card_number(name: str) -> int:
    """Return the GPU's number in CUDA_VISIBLE_DEVICES; 0 for any other name."""
    return int(name) if name.removeprefix("-").isdecimal() else 0


def read_allocator_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that enable expandable segments in the allocator of a GPU worker.

    Both the name in this torch version and the older one; none if the user set any of ``ALLOCATOR``.
    """
    if any(environment.get(name) for name in ALLOCATOR):
        return {}
    return dict.fromkeys(ALLOCATOR[:2], SEGMENTS)


def read_own(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the set variables of ``NAMES``. Paths become absolute: the engine runs elsewhere."""
    variables = os.environ if environment is None else environment
    return {
        name: str(paths.expand_home(value).absolute()) if name in PLACES and value else value
        for name, value in variables.items()
        if name in NAMES
    }


def merge_environments(own: Mapping[str, str], study_variables: Mapping[str, str] | None) -> dict[str, str]:
    """Return the engine's ``own`` environment with the ``study_variables``; variables that the study lacks
    are unset.

    None: nothing was recorded, and the engine's own environment applies.
    """
    if study_variables is None:
        return dict(own)
    own_other = {name: value for name, value in own.items() if name not in NAMES}
    return own_other | {name: value for name, value in study_variables.items() if name in NAMES}


def is_secret(name: str, value: str) -> bool:
    """Tell whether the value must not be stored: a proxy's address may contain a password."""
    return name in SECRET or Redactor({}).contains_secret(value)


def list_differences(own: Mapping[str, str], study_variables: Mapping[str, str]) -> list[str]:
    """List the differences between the study's environment and the engine's, for people, without secrets."""
    engine = read_own(own)
    return [
        f"{name} {_describe_value(name, study_variables.get(name))} in the shell that started the study, and"
        f" {_describe_value(name, engine.get(name))} in the engine's own environment:"
        " the study takes the shell's"
        for name in NAMES
        if engine.get(name) != study_variables.get(name)
    ]


def _describe_value(name: str, value: str | None) -> str:
    if value is None:
        return "is not set"
    return "is set" if is_secret(name, value) else f"is {sanitize(value, 120)!r}"
