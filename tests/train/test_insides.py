"""What goes on inside a trial: told beside the base, and nothing of the training is other for it."""

import msgspec

from core.contract.insides import Insides


def test_a_trial_writes_it(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    one.finish()
    found = msgspec.json.decode((tmp_path / "0" / "insides.json").read_bytes(), type=Insides)
    print(found)
    assert found.rows == 8 and len(found.layers) == 2
