"""x"""

from tui.base.base_screen import StudyScreen


class DevicesScreen(StudyScreen):
    pass
