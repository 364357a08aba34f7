"""What a year of decisions may err, and what a chain of cheaper models may lose.

Every retraining tests a new challenger, so the error probabilities of single decisions add up. Each decision gets the
error of ``gate.confidence``, less what earlier decisions have used, which fades with a time constant T of 90 days:

    error = alone * (1 - used / c),   used = sum of error_i * exp(-days since i / T)

``used`` never exceeds the capacity c. The errors of 365 days are what it rose, at most c, and what was forgotten
meanwhile, at most c * 365 / T. With c = ``gate.false_promotions`` / (1 + 365 / T) their sum, the expected number of
promotions of models that are no better, is at most ``gate.false_promotions``, whatever the models and their test
patients have in common (expectations add). With a new model a month a decision keeps three quarters of its error, with
one a week two fifths, with one a night a twelfth.

A model that is as good and cheaper may be worse than the champion by less than ``gate.margin``. What the champion may
have lost in this way before is subtracted from the margin, so that a chain of such promotions loses one margin at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import exp
from typing import Any

from auscult.settings import GateSettings

#: Days in which a used error falls to 1 / e.
_FADING_DAYS = 90.0
_YEAR_DAYS = 365.0
#: Smallest error probability of a decision; below it no model could be shown to be better.
_LEAST = 1e-6
_DIGITS = 6


@dataclass(frozen=True)
class Spent:
    """What earlier decisions on an experiment have used.

    Attributes
    ----------
    errors
        Sum of the error probabilities of earlier decisions, each faded by its age.
    loss
        What the champion may have lost against an earlier one by promotions of cheaper models, in units of the score.
    again
        Error probability of an earlier decision on the same two models and data: a repetition is no further chance,
        has the same error, and adds nothing to the sum. None: they were not compared before.
    """

    errors: float = 0.0
    loss: float = 0.0
    again: float | None = None


NOTHING = Spent()


def error_of(settings: GateSettings, in_service: int, spent: Spent) -> float:
    """Return the probability with which a decision may promote a model that is no better; 0 if nothing is left.

    Parameters
    ----------
    in_service
        Number of experiments that share ``gate.confidence`` and ``gate.false_promotions``.
    """
    if spent.again is not None:
        return spent.again
    capacity = settings.false_promotions / (1.0 + _YEAR_DAYS / _FADING_DAYS) / in_service
    error = round(min(error_alone(settings, in_service), capacity) * (1.0 - spent.errors / capacity), 9)
    return error if error >= _LEAST else 0.0


def error_alone(settings: GateSettings, in_service: int) -> float:
    """Return the error probability of a decision before which there was none: one tail of the interval."""
    return (1.0 - settings.confidence) / 2.0 / in_service


def loss_after(spent: Spent, low: float) -> float:
    """Return what a promoted model may have lost against an earlier champion.

    Parameters
    ----------
    low
        Lower end of the interval of the score, promoted model minus champion.
    """
    return round(max(0.0, spent.loss - low), _DIGITS)


def noted(earlier: str, opponent: str, error: float, today: date) -> str:
    """Return the note of a challenger's decisions with another one, as a tag of its version keeps it.

    Parameters
    ----------
    earlier
        The note so far: JSON, opponent → [day, error probability].
    opponent
        What it was compared with, and on which data.
    """
    note: dict[str, Any] = json.loads(earlier)
    note.setdefault(opponent, [today.isoformat(), error])
    return json.dumps(note)


def spent(notes: Mapping[str, str], challenger: str, opponent: str, loss: str, today: date) -> Spent:
    """Return what the decisions up to today have used.

    Parameters
    ----------
    notes
        Version number → :func:`noted` of every version of the experiment; ``{}`` for one without a decision.
    challenger
        Number of the version to be decided on.
    opponent
        As for :func:`noted`.
    loss
        The tag in which the champion keeps :func:`loss_after`; empty for none.
    """
    errors, again = 0.0, None
    for number, note in notes.items():
        for other, (day, error) in json.loads(note).items():
            errors += error * exp(-(today - date.fromisoformat(day)).days / _FADING_DAYS)
            again = error if (number, other) == (challenger, opponent) else again
    return Spent(errors, float(loss or 0.0), again)
