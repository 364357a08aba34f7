"""Hyperparameter search in generations, and the refit of the best trial.

A generation is a fixed number of trials that are suggested together and see only
the generations before them: what is suggested and what is pruned depends neither on
how many workers there are nor on which trial ends first, and a search that was
killed goes on to the same end.
"""

from __future__ import annotations

import importlib
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.core.digests import digest
from auscult.core.errors import AuscultError
from auscult.models import architecture
from auscult.training.finished_trials import Journal
from auscult.training.loop import Settings, describe, fit, rank
from auscult.training.process_pool import run_all

if TYPE_CHECKING:
    import optuna

    from auscult.core.sections import TrainParams
    from auscult.training.data import TrainingData

#: What decides how a trial ends, beside the model's own file: a change of any of it begins a new search.
CODE = (
    "auscult.models",
    "auscult.models.layers",
    *(
        f"auscult.training.{part}"
        for part in ("batches", "data", "loop", "normaliser", "score", "search", "spec_augment")
    ),
)
#: A trial may be pruned from this epoch on, and once so many trials stand to compare with.
WARMUP_EPOCHS, STARTUP_TRIALS = 3, 4


@dataclass(frozen=True)
class Search:
    """One experiment's search: what is trained, how, and where finished trials are kept."""

    name: str
    data: TrainingData
    model: str
    params: TrainParams
    journal: Journal

    @property
    def settings(self) -> Settings:
        return Settings(
            epochs=self.params.epochs,
            patience=self.params.patience,
            batch_size=self.params.batch_size,
            spec_augment=self.params.spec_augment,
            class_weights=self.params.class_weights,
        )

    def run(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Search, then refit the best trial.

        Returns
        -------
        trials
            One record per trial, in order of their numbers.
        seeds
            Names in the journal of the trainings that make the model, seed 0 first.
        """
        # An optimiser imports it when it is first made, for a second or two: once here, not in every training.
        importlib.import_module("torch._dynamo")
        trials = self._trials()
        best = best_trial(trials)
        if best is None:
            details = "; ".join(f"trial {t['number']}: {t['detail'] or t['state']}" for t in trials)
            raise AuscultError(
                f"no trial of experiment {self.name!r} ended with a usable model ({details})",
                where=f"experiment {self.name}",
                next_step="look at the features for outliers, or raise train.trials in params.yaml",
            )
        jobs = []
        seeds: list[str] = []
        for index in range(self.params.seeds):
            # Seed 0 is the trial's own training, already done.
            name = trial_name(best["number"]) if index == 0 else f"{trial_name(best['number'])}-seed-{index}"
            seeds.append(name)
            if not self.journal.complete(name):
                record = {key: best[key] for key in ("number", "hyperparameters", "seed")}
                record["seed"] = best["seed"] + index
                jobs.append((f"seed {index}", partial(self._train, name, record, [])))
        run_all(jobs)
        for index, name in enumerate(seeds):
            record = self.journal.read(name) or {}
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
                print(
                    f"train: {self.name}: the budget of {budget:g} min is spent after {len(trials)} trials", flush=True
                )
                break
            count = min(self.params.generation, self.params.trials - len(trials))
            trials += self._generation(trials, count)
        return trials

    def _generation(self, earlier: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
        """Suggest and train trials that know only *earlier*, complete generations."""
        numbers = range(len(earlier), len(earlier) + count)
        jobs = []
        for slot, number in enumerate(numbers):
            if self.journal.read(trial_name(number)) is not None:
                continue
            seed = int(digest(self.params.seed, number)[:7], 16)
            suggested = self._suggest(earlier, slot)
            record: dict[str, Any] = {"number": number, "hyperparameters": suggested, "seed": seed}
            jobs.append((f"trial {number}", partial(self._train, trial_name(number), record, earlier)))
        run_all(jobs)
        records = [self.journal.read(trial_name(number)) for number in numbers]
        finished = [record for record in records if record is not None]
        everyone = earlier + finished
        best = best_trial(everyone)
        for record in everyone:
            if best is None or record["number"] != best["number"]:
                self.journal.forget_weights(trial_name(record["number"]))
        if best is not None:
            print(
                f"train: {self.name}: best of {len(everyone)} trials: {best['number']} at {best['rank']:.3f}",
                flush=True,
            )
        return finished

    def _suggest(self, earlier: list[dict[str, Any]], slot: int) -> dict[str, Any]:
        import optuna

        module = architecture(self.model)
        choose_synthetic = len(self.data.synthetic) > 0
        sampler = optuna.samplers.TPESampler(seed=int(digest(self.params.seed, len(earlier), slot)[:7], 16))
        study = self._study(earlier, sampler=sampler)
        # But for their seeds the first two trials differ in one thing: the search shows what synthetic rows bring.
        if not earlier and slot < (2 if choose_synthetic else 1):
            study.enqueue_trial(module.DEFAULTS | ({"use_synthetic": slot == 0} if choose_synthetic else {}))
        trial = study.ask()
        hyperparameters: dict[str, Any] = module.suggest(trial)
        hyperparameters["use_synthetic"] = choose_synthetic and trial.suggest_categorical(
            "use_synthetic", [True, False]
        )
        return hyperparameters

    def _study(self, earlier: list[dict[str, Any]], sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
        """Earlier generations as an Optuna study in memory."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        states = {
            "complete": optuna.trial.TrialState.COMPLETE,
            "pruned": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }
        space = _Space(architecture(self.model).suggest, with_synthetic=len(self.data.synthetic) > 0)
        for record in earlier:
            distributions = space.distributions()
            study.add_trial(
                optuna.trial.create_trial(
                    state=states[record["state"]],
                    params={name: record["hyperparameters"][name] for name in distributions},
                    distributions=distributions,
                    value=record["rank"] if record["state"] == "complete" else None,
                    intermediate_values={int(e["epoch"]): rank(e) for e in record["epochs"]},
                )
            )
        return study

    def _train(self, name: str, record: dict[str, Any], earlier: list[dict[str, Any]]) -> None:
        """Train in this process and leave the result in the journal."""
        # A trial of its own is asked for: it carries the reports that the pruner compares.
        trial = self._study(earlier).ask() if earlier else None

        def stop_early(entry: dict[str, float]) -> bool:
            epoch, score = int(entry["epoch"]), entry["validation_score"]
            shown = f"score {score:.3f}" if math.isfinite(score) else f"no score, likelihood {rank(entry):.3f}"
            print(f"train: {self.name}: {name} epoch {epoch}: {shown}", flush=True)
            if trial is None:
                return False
            trial.report(rank(entry), epoch)
            return trial.should_prune()

        fitted = fit(self.data, self.model, record["hyperparameters"], self.settings, record["seed"], stop_early)
        if fitted.state == "failed":
            print(f"train: {self.name}: {name} failed: {fitted.detail}", flush=True)
        self.journal.write(name, record | describe(fitted), fitted)


class _Space:
    """Records which distributions a model's ``suggest`` draws from, by being asked in a trial's place."""

    def __init__(self, suggest: Any, *, with_synthetic: bool) -> None:
        self._suggest, self._with_synthetic = suggest, with_synthetic

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        import optuna

        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        trial = study.ask()
        self._suggest(trial)
        if self._with_synthetic:
            trial.suggest_categorical("use_synthetic", [True, False])
        return dict(trial.distributions)


def open_journal(cache: Path, data: TrainingData, model: str, params: TrainParams, code: str) -> Journal:
    """The journal of searches on this data with these parameters and this code.

    How many trials and seeds are wanted, and the budget, are not part of the name:
    more of them continue the same search.
    """
    from importlib.metadata import version

    libraries = {name: version(name) for name in ("torch", "optuna", "numpy")}
    kept = params.model_dump(exclude={"trials", "seeds", "budget_minutes"})
    return Journal(cache / "search" / digest(data.key, model, kept, code, libraries))


def best_trial(trials: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The complete trial with the highest rank, of equal ones the first; None when there is none."""
    complete = [trial for trial in trials if trial["state"] == "complete" and trial["rank"] is not None]
    return max(complete, key=lambda trial: (trial["rank"], -trial["number"]), default=None)


def trial_name(number: int) -> str:
    """Name of a trial in the journal."""
    return f"trial-{number:04d}"
