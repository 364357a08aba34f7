"""Hyperparameter search in generations, and the refit of the best trial with other seeds.

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
from auscult.core.sections import TrainParams
from auscult.models import architecture
from auscult.training.data import TrainingData
from auscult.training.finished_trials import FinishedTrials
from auscult.training.loop import describe, fit, rank
from auscult.training.process_pool import run_all

logger = logging.getLogger(__name__)

#: Modules that determine the result of a trial, besides the file of the architecture: a change starts a new search.
CODE = (
    *("auscult.models", "auscult.models.layers"),
    *(f"auscult.training.{name}" for name in ("batches", "data", "loop", "normaliser", "score", "search")),
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
    """

    name: str
    data: TrainingData
    model: str
    params: TrainParams

    @cached_property
    def finished(self) -> FinishedTrials:
        """The finished trainings of searches on this data with these parameters, this code and these libraries.

        The numbers of trials and seeds and the budget are not part of the key: a larger number continues the
        same search.
        """
        code = code_digest(*CODE, f"auscult.models.{self.model}")
        libraries = {name: version(name) for name in ("torch", "optuna", "numpy")}
        kept = self.params.model_dump(exclude={"trials", "seeds", "budget_minutes"})
        return FinishedTrials(CACHE_DIR / "search" / digest(self.data.key, self.model, kept, code, libraries))

    def run(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Search, then refit the best trial with further seeds.

        Returns
        -------
        trials
            One record per trial, in the order of their numbers.
        seeds
            Names of the finished trainings that make up the model, seed 0 first.

        Raises
        ------
        AuscultError
            No trial gave a usable model, or a refit failed.
        """
        # torch imports this module when it makes the first optimiser, for one to two seconds. Import it here,
        # before the fork, rather than in every training.
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
        name = trial_name(best["number"])
        seeds = [name, *(f"{name}-seed-{index}" for index in range(1, self.params.seeds))]
        jobs = []
        for index, name in enumerate(seeds):
            if not self.finished.complete(name):  # the training of seed 0 is the trial itself
                record = {key: best[key] for key in ("number", "hyperparameters")} | {"seed": best["seed"] + index}
                jobs.append((f"seed {index}", partial(self._train, name, record, [])))
        run_all(jobs)
        for index, name in enumerate(seeds):
            record = self.finished.read(name) or {}
            if record.get("state") != "complete":
                raise AuscultError(
                    f"the refit of trial {best['number']} with seed {index} failed: {record.get('detail')}",
                    where=f"experiment {self.name}",
                    next_step="lower train.seeds, or raise train.trials in params.yaml",
                )
        return trials, seeds

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
        for slot, number in enumerate(numbers):
            if self.finished.read(trial_name(number)) is not None:
                continue
            seed = int(digest(self.params.seed, number)[:7], 16)
            record: dict[str, Any] = {"number": number, "hyperparameters": self._suggest(earlier, slot), "seed": seed}
            jobs.append((f"trial {number}", partial(self._train, trial_name(number), record, earlier)))
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
        module = architecture(self.model)
        choose_synthetic = len(self.data.synthetic) > 0
        sampler = optuna.samplers.TPESampler(seed=int(digest(self.params.seed, len(earlier), slot)[:7], 16))
        study = self._study(earlier, sampler=sampler)
        # The first two trials have the default hyperparameters, one with synthetic rows and one without.
        if not earlier and slot < (2 if choose_synthetic else 1):
            study.enqueue_trial(module.DEFAULTS | ({"use_synthetic": slot == 0} if choose_synthetic else {}))
        return self._draw(study.ask())

    def _draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the hyperparameters of a trial; whether to use synthetic rows is one of them if there are any."""
        hyperparameters: dict[str, Any] = architecture(self.model).suggest(trial)
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

    def _train(self, name: str, record: dict[str, Any], earlier: list[dict[str, Any]]) -> None:
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

        fitted = fit(self.data, self.model, record["hyperparameters"], self.params, record["seed"], stop_early)
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
