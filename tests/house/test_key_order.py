"""The footers name keys that there are."""

from tui.keys.footer_order import STUDY_BAR, TRIAL_BAR
from tui.keys.key_declarations import GROUPS


def test_the_footers_name_keys_that_there_are():
    ids = {key.id for group in GROUPS for key in group}
    assert not {*STUDY_BAR, *TRIAL_BAR} - ids
