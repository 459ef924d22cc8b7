"""``make gpu``: all that only a card can tell, in under nine minutes, most valuable first.

Every part writes its rows into a JSON file as it finds them; a part that is complete is not run again, a part
that is not goes on where it was. ``--dry`` runs all of it on the CPU with tiny shapes."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.gpu import carried_wheels

ROOT = Path(__file__).resolve().parents[2]
BUDGET_S = {True: 1800.0, False: 530.0}  # by whether it is a dry run
LETTERS = "a,b,c,d,e,f,g"


def read_options() -> argparse.Namespace:
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    out = Path(os.environ.get("OUT") or ROOT / "build" / "gpu")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="$OUT, else build/gpu")
    parser.add_argument("--only", default=LETTERS, metavar="a,c", help="parts, in the order of their letters")
    parser.add_argument(
        "--budget", type=float, metavar="S", help=f"seconds for all of it; {BUDGET_S[False]:.0f}"
    )
    parser.add_argument("--again", action="store_true", help="run complete parts again, too")
    parser.add_argument("--dry", action="store_true", help="on the CPU, with tiny shapes")
    parser.add_argument("--table", action="store_true", help="only write the table and the console's picture")
    options = parser.parse_args()
    options.letters = options.only.split(",")
    options.budget = options.budget or BUDGET_S[options.dry]
    if unknown := [letter for letter in options.letters if letter not in LETTERS.split(",")]:
        parser.error(f"--only: {', '.join(map(repr, unknown))}; write letters of {LETTERS}")
    return options


def main() -> int:
    """Prepare the environment, run, show the table; 0 if every part is complete."""
    options = read_options()
    carried_wheels.enter("tests.gpu", sys.argv[1:])
    if options.dry:
        os.environ |= {"TRIMTAB_GPU_DRY": "1", "CUDA_VISIBLE_DEVICES": ""}
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # parts are forked: CUDA must stay untouched
    import torch

    from tests.gpu import ticket

    if not (options.dry or options.table or torch.cuda.is_available()):
        print("torch sees no CUDA device; `python -m tests.gpu --dry` runs everything on the CPU")
        return 2
    out = options.out.absolute() / "dry" if options.dry else options.out.absolute()
    complete = True
    if not options.table:
        complete = ticket.run(out, options.letters, options.budget, options.again)
    ticket.write_table(out)
    if options.table:
        ticket.write_picture(out)
    print((out / ticket.TABLE).read_text("utf-8"), flush=True)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
