"""Trials that answer prompts, and were compared blind."""

from __future__ import annotations

import random

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.contract.wire.sample_messages import AskPair, AskSample, FollowSample, Pair, RateSamples, SampleText
from core.daemon.answers.blind_comparisons import make_rating_event
from tests.tui.scene import study_events

TEXTS = (
    "Put the kettle on and warm the pot. One spoon of leaves a cup, and one for the pot. Pour the water on "
    "just before it boils, and wait for four minutes.\n\nMilk goes in last.",
    "Tea is a beverage. Tea is a beverage that is made. It is made with water.",
)
RATED = ((6, 7, 9), (7, 6, 3), (6, 2, 4), (2, 7, 2), (4, 6, 1), (0, 7, 2), (0, 2, 2))  # winner, loser, times


class Answers:
    """What workers would say: one text after the other, in two pieces, endlessly, or not at all."""

    def __init__(self, texts: tuple[str, ...] = TEXTS) -> None:
        self.texts, self.is_endless = texts, False
        self.why = ""  # why there is no answer
        self.requests: dict[str, AskSample] = {}

    def __call__(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        match request:
            case AskSample():
                ticket = f"t{len(self.requests)}"
                self.requests[ticket] = request
                return SampleText(ticket)
            case FollowSample() if self.why:
                return SampleText(request.ticket, done=True, why=self.why)
            case FollowSample():
                text = self.texts[list(self.requests).index(request.ticket) % len(self.texts)]
                drawn = "" if self.requests[request.ticket].prompt else "How is tea made?"
                done = request.known > 0 and not self.is_endless
                return SampleText(request.ticket, text, request.known + 20, 230, done, prompt=drawn)
            case AskPair():
                return Pair(6, 7, True)
        return None


def rated_study() -> list[e.Event]:
    """A study with ratings, the left side chosen a little more often."""
    source, told = random.Random(3), study_events()
    study = s.Study("tidy-7b")
    for winner, loser, times in RATED:
        for _ in range(times):
            left = source.random() < 0.55
            sides = (winner, loser) if left else (loser, winner)
            request = RateSamples("tidy-7b", *sides, "left" if left else "right", "", source.random() < 0.2)
            event = make_rating_event(study, request)
            told.append(event)
            rating = s.Rating(event.left, event.right, event.choice, event.drawn)
            study = s.Study("tidy-7b", ratings=(*study.ratings, rating))
    return told
