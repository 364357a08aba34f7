"""``python -m stages.evaluate <experiment>``: evaluate a trained model beside its baselines; opens the test part."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run


def main() -> None:
    """Read features, split and model; write the evaluation folder and the metrics file."""
    params, name = parameters.of_experiment("evaluate")
    # Imported here: a wrong parameter is refused before torch, scikit-learn and pandas are loaded.
    from auscult.evaluation.evaluate import evaluate
    from auscult.training.trained_model import TrainedModel

    folder = Paths(params.dataset).model(name)
    evaluate(params, name, TrainedModel.load(folder), folder)


if __name__ == "__main__":
    run(main)
