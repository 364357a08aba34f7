"""Search, train, calibrate: ``python -m stages.train <experiment>`` writes ``models/<dataset>/<experiment>/``."""

from __future__ import annotations

import sys

from auscult.core import params
from auscult.core.digests import code_digest
from auscult.core.errors import ParameterError
from auscult.core.paths import CACHE_DIR, Paths
from auscult.core.process import run


def main() -> None:
    """Train the experiment named on the command line."""
    if len(sys.argv) != 2:
        raise ParameterError(
            "train wants the name of one experiment",
            where="command line",
            next_step="python -m stages.train <experiment of params.yaml>",
        )
    loaded, name = params.load(), sys.argv[1]
    experiment, settings = loaded.experiment(name), loaded.train
    paths = Paths(loaded.dataset)

    from auscult.models import architecture

    architecture(experiment.model)  # a misspelt model ends here, before the data are read

    from auscult.training.data import load
    from auscult.training.outputs import write_model
    from auscult.training.search import CODE, Search, open_journal

    data = load(paths, name, experiment)
    print(
        f"train: {name}: {len(data.originals)} training rows and {len(data.synthetic)} synthetic,"
        f" {len(data.validation.target)} {data.task.unit}s for validation, {settings.trials} trials",
        flush=True,
    )
    if settings.budget_minutes is not None:
        print("train: WARNING: train.budget_minutes is set: how many trials fit differs from run to run", flush=True)
    code = code_digest(*CODE, f"auscult.models.{experiment.model}")
    search = Search(
        name, data, experiment.model, settings, open_journal(CACHE_DIR, data, experiment.model, settings, code)
    )
    trials, seeds = search.run()
    score = write_model(paths.model(name), loaded.dataset, search, trials, seeds)
    print(f"train: {name}: validation score {score:.3f}, {paths.model(name)}", flush=True)


if __name__ == "__main__":
    run(main)
