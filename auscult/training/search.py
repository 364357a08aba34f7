"""Hyperparameter search in generations on the first fold, and the best trial on every other fold.

A generation is a fixed number of trials that are suggested together and use only the results of earlier
generations. So suggestions and pruning depend neither on the number of workers nor on which trial ends first,
and an interrupted search resumes with the same result.
"""

from __future__ import annotations

import importlib
import logging
import math
import time
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import optuna

from auscult.core.digests import code_digest, digest
from auscult.core.errors import AuscultError
from auscult.core.paths import CACHE_DIR
from auscult.core.sections import SearchSpace, TrainParams
from auscult.models import is_network, load
from auscult.training import learning, loop
from auscult.training.data import FoldData, TrainingData
from auscult.training.finished_trials import FinishedTrials
from auscult.training.loop import describe, rank
from auscult.training.process_pool import run_all

logger = logging.getLogger(__name__)

#: Modules that determine the result of a trial, besides the file of the architecture: a change starts a new search.
CODE = (
    *("auscult.models", "auscult.models.layers", "auscult.models.layers.linear"),
    "auscult.features.functionals",
    *(f"auscult.training.{name}" for name in ("batches", "data", "learning", "loop", "normaliser", "score", "search")),
)
#: A trial may be pruned after this many epochs, and once there are this many trials to compare with.
WARMUP_EPOCHS, STARTUP_TRIALS = 3, 4
_STATES = {
    "complete": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
}


@dataclass(frozen=True)
class Search:
    """The search of one experiment.

    Attributes
    ----------
    name
        Of the experiment.
    model
        Name of the architecture.
    space
        Hyperparameters to draw; the others keep the architecture's default.
    """

    name: str
    data: TrainingData
    model: str
    params: TrainParams
    space: SearchSpace

    @cached_property
    def finished(self) -> FinishedTrials:
        """The finished trainings of searches on this data with these parameters, this code and these libraries.

        The number of trials, the budget and the decision rules are not part of the key: a larger number continues the
        same search.
        """
        code = code_digest(*CODE, f"auscult.models.{self.model}")
        libraries = {name: version(name) for name in ("torch", "lightgbm", "optuna", "numpy")}
        kept = self.params.model_dump(exclude={"trials", "budget_minutes", "decisions"})
        space = {name: each.model_dump() for name, each in self.space.items()}
        return FinishedTrials(CACHE_DIR / "search" / digest(self.data.key, self.model, kept, space, code, libraries))

    @cached_property
    def folds(self) -> dict[int, FoldData]:
        """Return the data without each fold, in the order of the folds."""
        return {fold: self.data.without(fold) for fold in self.data.folds}

    def run(self) -> tuple[list[dict[str, Any]], dict[int, str]]:
        """Search on the first fold, then train the best trial without each other fold.

        Returns
        -------
        trials
            One record per trial, in the order of their numbers.
        names
            Held-out fold → name of the finished training.

        Raises
        ------
        AuscultError
            No trial gave a usable model, or the training without a fold failed.
        """
        # torch imports this module when it makes the first optimiser, for one to two seconds. Import it here,
        # before the fork, rather than in every training.
        if self.trains_networks:
            importlib.import_module("torch._dynamo")
        trials = self._trials()
        best = best_trial(trials)
        if best is None:
            details = "; ".join(f"trial {t['number']}: {t['detail'] or t['state']}" for t in trials)
            raise AuscultError(
                f"no trial of experiment {self.name!r} ended with a usable model ({details})",
                where=f"experiment {self.name}",
                next_step="check the features for outliers, or raise train.trials in params.yaml",
            )
        trial = trial_name(best["number"])
        first, *others = self.folds
        names = {first: trial} | {fold: f"{trial}-fold-{fold}" for fold in others}
        jobs = []
        for number, (fold, name) in enumerate(names.items()):
            if not self.finished.complete(name):  # the training without the first fold is the trial itself
                record = {key: best[key] for key in ("number", "hyperparameters")} | {"seed": best["seed"] + number}
                epochs = None if fold == first or self.params.patience is None else int(best["best_epoch"])
                jobs.append((f"fold {fold}", partial(self._train, name, record, [], fold, epochs)))
        run_all(jobs)
        for fold, name in names.items():
            record = self.finished.read(name) or {}
            if record.get("state") != "complete":
                raise AuscultError(
                    f"the training of trial {best['number']} without fold {fold} failed: {record.get('detail')}",
                    where=f"experiment {self.name}",
                    next_step="raise train.trials in params.yaml, or lower the learning rates under search",
                )
        return trials, names

    def _trials(self) -> list[dict[str, Any]]:
        began = time.monotonic()
        trials: list[dict[str, Any]] = []
        while len(trials) < self.params.trials:
            budget = self.params.budget_minutes
            if trials and budget is not None and time.monotonic() - began > budget * 60:
                logger.info(
                    "train: %s: the budget of %g min ends the search after trial %d", self.name, budget, len(trials)
                )
                break
            count = min(self.params.generation, self.params.trials - len(trials))
            trials += self._generation(trials, count)
        return trials

    def _generation(self, earlier: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
        """Suggest and train trials that use only the results of *earlier*, complete generations."""
        numbers = range(len(earlier), len(earlier) + count)
        jobs = []
        _ = self.folds  # computed before the fork
        for slot, number in enumerate(numbers):
            if self.finished.read(trial_name(number)) is not None:
                continue
            seed = int(digest(self.params.seed, number)[:7], 16)
            record: dict[str, Any] = {"number": number, "hyperparameters": self._suggest(earlier, slot), "seed": seed}
            jobs.append(
                (f"trial {number}", partial(self._train, trial_name(number), record, earlier, self.data.folds[0]))
            )
        run_all(jobs)
        records = [self.finished.read(trial_name(number)) for number in numbers]
        new = [record for record in records if record is not None]
        trials = earlier + new
        best = best_trial(trials)
        for record in trials:
            if best is None or record["number"] != best["number"]:
                self.finished.remove_weights(trial_name(record["number"]))
        if best is not None:
            logger.info("train: %s: best of %d trials: %d", self.name, len(trials), best["number"])
        return new

    def _suggest(self, earlier: list[dict[str, Any]], slot: int) -> dict[str, Any]:
        choose_synthetic = len(self.data.synthetic) > 0
        sampler = optuna.samplers.TPESampler(seed=int(digest(self.params.seed, len(earlier), slot)[:7], 16))
        study = self._study(earlier, sampler=sampler)
        # The first trial has the default hyperparameters; where there are synthetic rows, the second one uses them.
        if not earlier and slot < (2 if choose_synthetic else 1):
            synthetic = {"use_synthetic": slot == 1} if choose_synthetic else {}
            held = {name: self._defaults[name] for name, each in self.space.items() if each.holds(self._defaults[name])}
            study.enqueue_trial(held | synthetic)
        return self._draw(study.ask())

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return load(self.model).DEFAULTS | self.params.hyperparameters.get(self.model, {})

    @property
    def trains_networks(self) -> bool:
        """Whether the model is a network."""
        return is_network(load(self.model))

    def _draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the hyperparameters of a trial; whether to use synthetic rows is one of them if there are any."""
        hyperparameters = dict(self._defaults)
        for name, space in self.space.items():
            if isinstance(space.low, int) and isinstance(space.high, int):
                hyperparameters[name] = trial.suggest_int(
                    name, space.low, space.high, step=int(space.step or 1), log=space.log
                )
            else:
                hyperparameters[name] = trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)
        hyperparameters["use_synthetic"] = len(self.data.synthetic) > 0 and trial.suggest_categorical(
            "use_synthetic", [True, False]
        )
        return hyperparameters

    def _study(self, earlier: list[dict[str, Any]], sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
        """Return earlier generations as an Optuna study in memory."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        # A trial drawn for its distributions only: the records hold no distributions.
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        self._draw(trial)
        distributions = dict(trial.distributions)
        for record in earlier:
            study.add_trial(
                optuna.trial.create_trial(
                    state=_STATES[record["state"]],
                    params={name: record["hyperparameters"][name] for name in distributions},
                    distributions=distributions,
                    value=record["rank"] if record["state"] == "complete" else None,
                    intermediate_values={int(e["epoch"]): rank(e) for e in record["epochs"]},
                )
            )
        return study

    def _train(
        self, name: str, record: dict[str, Any], earlier: list[dict[str, Any]], fold: int, epochs: int | None = None
    ) -> None:
        """Train in this process and write the finished training."""
        # The pruner compares the reports of this trial with those of earlier ones.
        trial = self._study(earlier).ask() if earlier else None

        def stop_early(entry: dict[str, float]) -> bool:
            epoch, score = int(entry["epoch"]), entry["validation_score"]
            shown = f"score {100 * score:.1f}" if math.isfinite(score) else f"no score, likelihood {rank(entry):.3f}"
            logger.info("train: %s: %s epoch %d: %s", self.name, name, epoch, shown)
            if trial is None:
                return False
            trial.report(rank(entry), epoch)
            return trial.should_prune()

        data, hyperparameters = self.folds[fold], record["hyperparameters"]
        fit = loop.fit if self.trains_networks else learning.fit
        fitted = fit(data, self.model, hyperparameters, self.params, record["seed"], stop_early, epochs)
        if fitted.state == "failed":
            logger.info("train: %s: %s failed: %s", self.name, name, fitted.detail)
        self.finished.write(name, record | describe(fitted), fitted)


def best_trial(trials: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the complete trial with the highest rank, of equal ones the first; ``None`` if there is none."""
    complete = [trial for trial in trials if trial["state"] == "complete" and trial["rank"] is not None]
    return max(complete, key=lambda trial: (trial["rank"], -trial["number"]), default=None)


def trial_name(number: int) -> str:
    """Return the name of a trial among the finished trainings."""
    return f"trial-{number:04d}"
