"""Every model in auscult/models/ that is fitted in one go; a new file is tested without an edit here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from auscult.models import Learner, is_network, load, names

LEARNERS = [name for name in names() if not is_network(load(name))]
BINS, FRAMES, PIECE = 12, 60, 30


class InMemory:
    """Rows of which class 1 has a burst in one bin and class 2 is louder, in batches of 16."""

    piece = PIECE

    def __init__(self, classes: int = 3, rows: int = 120, seed: int = 5) -> None:
        generator = np.random.default_rng(seed)
        self.target = np.arange(rows) % classes
        self.x = generator.normal(size=(rows, BINS, FRAMES)).astype(np.float32)
        self.valid = generator.integers(20, FRAMES + 1, rows)
        self.x[self.target == 1, 3, 5:18] += 3.0
        self.x[self.target == 2] += 0.7

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]:
        for start in range(0, len(self.target), 16):
            index = np.arange(start, min(start + 16, len(self.target)))
            yield index, self.x[index], self.valid[index]


def learner(name: str) -> Learner:
    return cast(Learner, load(name))


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_what_new_rows_show(name: str, classes: int) -> None:
    learned = learner(name).fit(InMemory(classes), classes, learner(name).DEFAULTS, seed=1)
    new = InMemory(classes, rows=60, seed=6)
    logs = learned.log_probabilities(new.x, new.valid)
    assert logs.shape == (60, classes)
    assert np.allclose(np.exp(logs).sum(axis=1), 1.0, atol=1e-5)
    assert (logs.argmax(axis=1) == new.target).mean() > 0.9


@pytest.mark.parametrize("name", LEARNERS)
def test_its_file_gives_it_back_to_the_bit_and_the_same_fit_gives_the_same_file(name: str) -> None:
    module, data = learner(name), InMemory()
    first, second = (module.fit(data, 3, module.DEFAULTS, seed=1) for _ in range(2))
    assert first.to_bytes() == second.to_bytes()
    read = module.LEARNED.from_bytes(first.to_bytes(), 3)
    assert np.array_equal(read.log_probabilities(data.x, data.valid), first.log_probabilities(data.x, data.valid))


@pytest.mark.parametrize("name", LEARNERS)
def test_frames_after_the_valid_ones_and_the_other_rows_change_nothing(name: str) -> None:
    module, data = learner(name), InMemory()
    learned = module.fit(data, 3, module.DEFAULTS, seed=1)
    padded = np.concatenate([data.x, np.full((len(data.x), BINS, 9), 50.0, dtype=np.float32)], axis=2)
    for row, valid in enumerate(data.valid):
        padded[row, :, valid:] = 50.0
    expected = learned.log_probabilities(data.x, data.valid)
    assert np.allclose(learned.log_probabilities(padded, data.valid), expected, atol=1e-5)
    alone = learned.log_probabilities(padded[7:8], data.valid[7:8])
    assert np.allclose(alone, expected[7:8], atol=1e-5)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_class_without_rows_is_improbable(name: str) -> None:
    learned = learner(name).fit(InMemory(classes=2), 4, learner(name).DEFAULTS, seed=1)
    new = InMemory(classes=2, rows=40, seed=6)
    logs = learned.log_probabilities(new.x, new.valid)
    assert np.isfinite(logs).all() and (logs[:, 2:] < np.log(0.05)).all()
    assert (logs.argmax(axis=1) == new.target).mean() > 0.9


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("damage", ["short", "classes", "text"])
def test_a_file_that_does_not_fit_is_refused(name: str, damage: str) -> None:
    module = learner(name)
    blob = module.fit(InMemory(), 3, module.DEFAULTS, seed=1).to_bytes()
    with pytest.raises(ValueError):
        module.LEARNED.from_bytes(
            {"short": blob[:40], "classes": blob, "text": b"no model"}[damage], 2 if damage == "classes" else 3
        )


@pytest.mark.parametrize("name", LEARNERS)
def test_the_length_of_a_row_tells_nothing(name: str) -> None:
    """It is that of an annotation, which a new recording lacks: constant rows of two lengths are alike."""
    data = InMemory(classes=2)
    data.x[:] = 0.25
    data.valid = np.where(data.target == 1, FRAMES, PIECE)
    logs = learner(name).fit(data, 2, learner(name).DEFAULTS, seed=1).log_probabilities(data.x, data.valid)
    assert np.ptp(logs, axis=0).max() < 1e-5
