"""``python -m stages.evaluate_combined <combination>``: what ``stages.evaluate`` does, for a combination of models."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run


def main() -> None:
    """Read features, split and the combination; write the evaluation folder and the metrics file."""
    params, name = parameters.of_experiment("evaluate_combined", combined=True)
    # Imported here: a wrong parameter is refused before torch, scikit-learn and pandas are loaded.
    from auscult.combination.combined_model import load_model
    from auscult.evaluation.evaluate import evaluate

    folder = Paths(params.dataset).all_combined / name
    evaluate(params, name, load_model(folder), folder)


if __name__ == "__main__":
    run(main)
