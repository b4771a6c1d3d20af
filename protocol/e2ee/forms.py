"""Questionnaires: what they ask, and how answers are scored. Scoring happens on the person's own device.

PHQ-9 and GAD-7 are shipped. Their developers placed them in the public domain; the items here are short
paraphrases, and a platform that needs the validated wording of its language sends a definition of its own
under the same id. A score supports a conversation and is not a diagnosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from protocol.e2ee.errors import ContentError

_Text = Annotated[str, Meta(max_length=1000)]
_Label = Annotated[str, Meta(max_length=64)]
_Points = Annotated[int, Meta(ge=0, le=1000)]


class Choice(Struct, frozen=True):
    """One of the answers that every item offers."""

    text: _Text
    points: _Points


class Band(Struct, frozen=True):
    """What a total means."""

    lowest: _Points
    """The smallest total of this band."""
    name: _Label


class Definition(Struct, frozen=True):
    """A questionnaire whose items all have the same answers."""

    form: _Label
    """Which one, such as ``phq-9``."""
    version: Annotated[int, Meta(ge=1, le=1000)]
    title: _Text
    question: _Text
    """Stands before all items."""
    items: Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=100)]
    choices: Annotated[tuple[Choice, ...], Meta(min_length=2, max_length=10)]
    bands: Annotated[tuple[Band, ...], Meta(max_length=10)]
    """By rising ``lowest``."""
    urgent_items: Annotated[tuple[Annotated[int, Meta(ge=0, le=99)], ...], Meta(max_length=10)] = ()
    """Items, counted from 0, which any answer above the first one makes urgent."""


class Score(Struct, frozen=True):
    """What answers come to."""

    total: int
    band: str
    """The name of the band; empty if there are none."""
    urgent: bool
    """The person is offered to send the result as urgent, and shown where to turn at once."""


def score(definition: Definition, answers: Sequence[int]) -> Score:
    """Score ``answers``, for each item the number of the choice from 0.

    Raises :exc:`ContentError` unless there is one valid answer for each item.
    """
    if len(answers) != len(definition.items):
        raise ContentError("each item has one answer")
    if not all(0 <= answer < len(definition.choices) for answer in answers):
        raise ContentError("an answer is not among the choices")
    total = sum(definition.choices[answer].points for answer in answers)
    band = next((band.name for band in reversed(definition.bands) if total >= band.lowest), "")
    urgent = any(answers[item] > 0 for item in definition.urgent_items if item < len(answers))
    return Score(total, band, urgent)


_FREQUENCY = (
    Choice("not at all", 0),
    Choice("on several days", 1),
    Choice("on more than half of the days", 2),
    Choice("nearly every day", 3),
)
_TWO_WEEKS = "In the last two weeks, how often did this trouble you?"

PHQ_9 = Definition(
    form="phq-9",
    version=1,
    title="PHQ-9: mood",
    question=_TWO_WEEKS,
    items=(
        "Little interest in doing things, or little joy in them",
        "Feeling low, depressed or without hope",
        "Sleeping badly, or sleeping too much",
        "Being tired, having little energy",
        "Little appetite, or eating too much",
        "Feeling bad about yourself, or that you have failed yourself or your family",
        "Finding it hard to concentrate, as when reading",
        "Moving or speaking so slowly that others could notice, or being much more restless than usual",
        "Thoughts that you would be better off dead, or of hurting yourself",
    ),
    choices=_FREQUENCY,
    bands=(
        Band(0, "minimal"),
        Band(5, "mild"),
        Band(10, "moderate"),
        Band(15, "moderately severe"),
        Band(20, "severe"),
    ),
    urgent_items=(8,),
)

GAD_7 = Definition(
    form="gad-7",
    version=1,
    title="GAD-7: worry",
    question=_TWO_WEEKS,
    items=(
        "Feeling nervous, anxious or tense",
        "Being unable to stop worrying or to keep it under control",
        "Worrying too much about many things",
        "Finding it hard to relax",
        "Being so restless that sitting still is hard",
        "Becoming annoyed or irritable easily",
        "Feeling afraid, as if something terrible might happen",
    ),
    choices=_FREQUENCY,
    bands=(Band(0, "minimal"), Band(5, "mild"), Band(10, "moderate"), Band(15, "severe")),
)

SHIPPED = {PHQ_9.form: PHQ_9, GAD_7.form: GAD_7}
"""The definitions that come with every client."""
