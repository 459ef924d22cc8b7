"""The engine counts on what fused layers save only where they are known to run."""

from __future__ import annotations

import pytest

from core.memory.records.estimate_corrections import EstimateCorrections
from tests.daemon.test_foresight import GIB, card, foresight, pack, study
from tests.daemon.test_foresight import base as base


def test_layers_are_estimated_as_fused_only_where_a_worker_reported_them(base):
    one, ledger = study(base, 8, running=1), EstimateCorrections()
    sight, knobs = foresight(one, card(80), ledger), {0: one.trials[0].knobs}
    own = sight.pack("gpu0", knobs).passing_bytes
    used = GIB + 100 + round(0.8 * own)
    sight.learn(pack(used_bytes=used), knobs)
    assert sight.pack("gpu0", knobs).passing_bytes == pytest.approx(0.8 * own, rel=1e-3)
    told = sight.learn(pack(used_bytes=used, fused=True), knobs)
    assert told.foretold_bytes == pytest.approx(used, rel=1e-3), "what was learnt of its own code is no part"
    assert sight.learnt("gpu0")[0] > 0.8
    later = foresight(one, card(80), ledger)  # known to be fused on such a card
    assert later.pack("gpu0", knobs).passing_bytes == pytest.approx(0.8 * own, rel=1e-3)
    later.learn(pack(used_bytes=used), knobs)  # but not on this day: Triton is gone
    assert later.learnt("gpu0") == (pytest.approx(0.8, rel=1e-3), 2)
