"""``python -m stages.evaluate <experiment>``: evaluate a trained model beside its baselines; opens the test part."""

from __future__ import annotations

import logging

from auscult.core import params as parameters
from auscult.core.digests import file_sha256
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import replacing_folder, write_json

logger = logging.getLogger(__name__)


def main() -> None:
    """Read features, split and model; write the evaluation folder and the metrics file."""
    params, name = parameters.of_experiment("evaluate")
    experiment, paths = params.evaluated[name], Paths(params.dataset)
    place = paths.evaluated_model(name, params.combinations)
    # Imported here: a wrong parameter is refused before torch, scikit-learn and pandas are loaded.
    from auscult.combination.combined_model import load_model
    from auscult.evaluation.assessment import assess, flat_metrics, write_evaluation
    from auscult.evaluation.predictions import predict_units
    from auscult.training.trained_model import DESCRIPTION

    model = load_model(place)
    units = predict_units(paths, experiment.features, model)
    evaluation = {
        "experiment": name,
        "dataset": params.dataset,
        "features": experiment.features,
        "model": model.about["model"],
        "model_sha256": file_sha256(place / DESCRIPTION),
        **assess(units, model, params.evaluate),
    }
    with replacing_folder(paths.evaluation(name)) as folder:
        write_evaluation(folder, units, evaluation)
    write_json(paths.metrics(name), {part: flat_metrics(evaluation["parts"][part]) for part in ("validation", "test")})
    test = evaluation["parts"]["test"]
    score = test["metrics"]["score"]
    shown = f"{100 * score['value']:.1f}" if "value" in score else score["undefined"]
    unit, patients = model.task.unit, test["patients"]
    logger.info("evaluate: %s: score %s on %d %ss of %d test patients", name, shown, test["units"], unit, patients)


if __name__ == "__main__":
    run(main)
