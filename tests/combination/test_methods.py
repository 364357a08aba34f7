"""What each method computes of its members' outputs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from auscult.combination.methods import context, ensemble, slide
from auscult.core.errors import ParameterError
from auscult.core.tasks import Task
from auscult.training.normaliser import Normaliser
from auscult.training.score import softmax
from auscult.training.trained_model import TrainedModel
from tests.evaluation.finished_pipeline import BINS, TASKS, spec
from tests.training.described import about_model, fold_entry

BINARY, ABNORMAL, SOUNDS = TASKS
FRAMES, PIECE = 60, 10
#: Every network computes each of three rows.
EVERY = np.full(3, -1)
PLAIN = Normaliser(np.zeros(BINS, dtype=np.float32), np.ones(BINS, dtype=np.float32), "mask")


def loudest_frame(x: NDArray[np.float32], valid: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits of a model that hears an abnormal sound where one valid frame is loud."""
    inside = np.arange(x.shape[2]) < valid[:, None]
    loud = np.where(inside, x.mean(axis=1), -np.inf).max(axis=1)
    return np.stack([np.zeros_like(loud), 4.0 * (loud - 1.0)], axis=1).astype(np.float32)


def model(task: Task = ABNORMAL, name: str = "heard", folds: int = 2) -> TrainedModel:
    entries = [fold_entry(task, fold, None, PLAIN) for fold in range(folds)]
    about = about_model(task, spec(), (BINS, FRAMES), entries, experiment=name, model="cnn2d") | {"piece": PIECE}
    return TrainedModel(about, [loudest_frame] * folds)


def quiet(rows: int) -> NDArray[np.float32]:
    return np.zeros((rows, BINS, FRAMES), dtype=np.float32)


@pytest.mark.parametrize("at", [0, 7, 31, 59])
def test_sliding_hears_a_single_loud_frame_wherever_it_is(at: int) -> None:
    features = quiet(2)
    features[1, :, at] = 2.0
    rows = slide.rows([model()], features, np.array([FRAMES, FRAMES]), EVERY[:2])
    assert rows.shape == (2, 2, 4 * 2)
    highest = rows[0, :, 1]  # the maximum over the pieces of log p(abnormal)
    assert highest[1] > np.log(0.95) and highest[0] < np.log(0.05)
    mean = rows[0, :, 5]
    assert highest[0] == pytest.approx(mean[0]) and mean[1] < highest[1] - 0.5


def test_sliding_ignores_frames_after_the_valid_ones() -> None:
    features = quiet(3)
    features[1, :, 12:] = 2.0
    features[2, :, 3:] = 2.0
    rows = slide.rows([model()], features, np.array([FRAMES, 12, 3]), EVERY)
    np.testing.assert_allclose(rows[:, 1], rows[:, 0])
    np.testing.assert_allclose(rows[:, 2], rows[:, 0])


def test_a_recording_has_the_maximum_and_the_mean_of_its_windows() -> None:
    rows = np.arange(24.0).reshape(1, 3, 8)  # one fold, three windows, two classes
    found = slide.inputs([model()], rows, np.array([1, 0, 1]), np.array([0, 1]))
    assert found.tolist() == [[[8, 9, 10, 11, 12, 13, 14, 15], [16, 17, 10, 11, 12, 13, 14, 15]]]


def test_sliding_needs_a_task_of_recordings_and_a_model_of_segments() -> None:
    assert not slide.obstacle(BINARY, [model()])
    assert "segments" in slide.obstacle(ABNORMAL, [model()])
    assert "first member" in slide.obstacle(BINARY, [model(BINARY)])
    assert not slide.obstacle(BINARY, [model(), model(BINARY)])
    assert "first" in slide.obstacle(BINARY, [model(), model()])


def test_models_of_recordings_are_heard_beside_the_sliding_one() -> None:
    features = quiet(3)
    features[1, :, 5] = 2.0
    members = [model(), model(BINARY, "whole")]
    rows = slide.rows(members, features, np.full(3, FRAMES), EVERY)
    found = slide.inputs(members, rows, np.array([0, 0, 1]), np.array([0, 1]))
    assert rows.shape == (2, 3, 4 * 2 + 2) and found.shape == (2, 2, 4 * 2 + 2)
    np.testing.assert_allclose(
        found[:, :, :8], slide.inputs([model()], rows[:, :, :8], np.array([0, 0, 1]), np.arange(2))
    )
    whole = members[1].raw(features, np.full(3, FRAMES))
    np.testing.assert_allclose(found[:, 0, 8:], np.log(whole[:, :2].mean(axis=1)))
    np.testing.assert_allclose(found[:, 1, 8:], np.log(whole[:, 2]))


def test_a_row_of_a_fold_is_computed_by_the_network_without_that_fold_alone() -> None:
    features = quiet(3)
    features[1, :, 5] = 2.0
    members = [model(), model(BINARY, "whole")]
    frames, folds = np.full(3, FRAMES), np.array([0, 1, -1])
    every, own = (slide.rows(members, features, frames, each) for each in (EVERY, folds))
    for fold, row in ((0, 0), (1, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose(own[fold, row], every[fold, row])
    assert np.isnan(own[1, 0]).all() and np.isnan(own[0, 1]).all()


def test_a_segment_is_heard_with_the_others_of_its_recording_and_not_with_those_of_another() -> None:
    rows = np.array([[[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]])
    found = context.inputs([model()], rows, np.arange(4), np.array([1, 0, 1, 1]))[0]
    logs = np.log(rows[0])
    np.testing.assert_allclose(found[:, :2], logs)
    np.testing.assert_allclose(found[0, 2:], logs[[2, 3]].mean(axis=0))
    np.testing.assert_allclose(found[2, 2:], logs[[0, 3]].mean(axis=0))
    np.testing.assert_allclose(found[1, 2:], logs[1])


def test_context_combines_models_of_segments_whatever_their_classes() -> None:
    assert not context.obstacle(ABNORMAL, [model(), model(SOUNDS)])
    assert "labels recordings" in context.obstacle(BINARY, [model()])
    assert "heard is not" in context.obstacle(ABNORMAL, [model(), model(BINARY)])


def test_context_helps_where_the_segments_of_a_recording_resemble_each_other() -> None:
    generator = np.random.default_rng(4)
    recordings = np.repeat(np.arange(100), 12)
    target = (generator.random(1200) < np.where(recordings % 2 == 1, 0.8, 0.1)).astype(np.int64)
    heard = softmax(np.stack([np.zeros(1200), 2.0 * target - 1.0 + generator.normal(0.0, 1.5, 1200)], axis=1))
    seen = context.inputs([model()], heard[None], np.arange(1200), recordings)[0]
    train = recordings < 50
    p = context.apply(context.fit(seen[train], target[train], 2, recordings[train] % 3), seen)
    right = [(each.argmax(axis=1) == target)[~train].mean() for each in (p, heard)]
    assert right[0] > right[1] + 0.05


def test_the_regression_of_sliding_separates_what_its_inputs_separate() -> None:
    generator = np.random.default_rng(1)
    target = np.arange(90) % 3
    inputs = generator.normal(size=(90, 6))
    inputs[:, 2] += 4.0 * (target == 1)
    inputs[:, 4] -= 4.0 * (target == 2)
    fitted = slide.fit(inputs, target, 4, np.arange(90) // 45)
    p = slide.apply(fitted, inputs)
    assert p.shape == (90, 4) and np.allclose(p.sum(axis=1), 1.0)
    assert (p.argmax(axis=1) == target).mean() > 0.9
    assert p[:, 3].max() < 1e-3, "a class without units"


@pytest.mark.parametrize(("tells", "strength"), [(1.0, 1.0), (0.0, 0.003)])
def test_the_penalty_of_the_regression_is_strong_where_the_inputs_tell_nothing(tells: float, strength: float) -> None:
    generator = np.random.default_rng(5)
    target = generator.integers(0, 2, 300)
    inputs = generator.normal(size=(300, 8))
    inputs[:, 0] += 4.0 * tells * target
    assert slide.fit(inputs, target, 2, np.arange(300) % 3)["strength"] == strength


def test_an_ensemble_weighs_what_is_right_and_drops_what_is_noise() -> None:
    generator = np.random.default_rng(2)
    target = generator.integers(0, 2, 400)
    margin = np.where(target == 1, 1.0, -1.0)
    good = softmax(np.stack([np.zeros(400), margin + generator.normal(size=400)], axis=1))
    noise = softmax(np.stack([np.zeros(400), generator.normal(0.0, 2.0, size=400)], axis=1))
    fitted = ensemble.fit(np.log(np.concatenate([good, noise], axis=1)), target, 2, np.zeros(400, np.int64))
    assert fitted["weights"][0] > 0.8 and 0.0 <= fitted["weights"][1] < 0.1


def test_an_ensemble_of_two_independent_witnesses_is_better_than_either() -> None:
    generator = np.random.default_rng(3)
    target = generator.integers(0, 3, 600)
    views = [
        softmax(1.5 * np.eye(3)[target] + generator.normal(size=(600, 3))),
        softmax(1.5 * np.eye(3)[target] + generator.normal(size=(600, 3))),
    ]
    fitted = ensemble.fit(np.log(np.concatenate(views, axis=1))[:300], target[:300], 3, np.zeros(300, np.int64))
    both = ensemble.apply(fitted, np.log(np.concatenate(views, axis=1))[300:])
    loss = [-np.log(p[np.arange(300), target[300:]]).mean() for p in (both, views[0][300:], views[1][300:])]
    assert loss[0] < min(loss[1:]) - 0.05


def test_members_of_an_ensemble_share_a_task() -> None:
    assert not ensemble.obstacle(ABNORMAL, [model(), model()])
    assert "two members" in ensemble.obstacle(ABNORMAL, [model()])
    assert "other" in ensemble.obstacle(ABNORMAL, [model(), model(SOUNDS, "other")])


def test_an_unknown_method_is_an_error_that_lists_the_known_ones() -> None:
    from auscult.combination.methods import method

    with pytest.raises(ParameterError, match=r"'vote'.*context, ensemble, slide"):
        method("vote")
