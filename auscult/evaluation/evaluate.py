"""Evaluate one model, trained or combined: its evaluation folder and its metrics file."""

from __future__ import annotations

import logging
from pathlib import Path

from auscult.core.digests import file_sha256
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import replacing_folder, write_json
from auscult.evaluation.assessment import assess, flat_metrics, write_evaluation
from auscult.evaluation.predictions import predict_units
from auscult.training.trained_model import DESCRIPTION, TrainedModel

logger = logging.getLogger(__name__)


def evaluate(params: Params, name: str, model: TrainedModel, folder: Path) -> None:
    """Open the test part; write the evaluation folder and the metrics file of an experiment or a combination.

    Parameters
    ----------
    name
        Of the experiment or the combination.
    model, folder
        The model, and the folder that it was loaded from.
    """
    features, paths = params.evaluated[name].features, Paths(params.dataset)
    units = predict_units(paths, features, model)
    evaluation = {
        "experiment": name,
        "dataset": params.dataset,
        "features": features,
        "model": model.about["model"],
        "model_sha256": file_sha256(folder / DESCRIPTION),
        **assess(units, model, params.evaluate),
    }
    with replacing_folder(paths.evaluation(name)) as place:
        write_evaluation(place, units, evaluation)
    write_json(paths.metrics(name), {part: flat_metrics(evaluation["parts"][part]) for part in ("validation", "test")})
    test = evaluation["parts"]["test"]
    score = test["metrics"]["score"]
    shown = f"{100 * score['value']:.1f}" if "value" in score else score["undefined"]
    unit, patients = model.task.unit, test["patients"]
    logger.info("evaluate: %s: score %s on %d %ss of %d test patients", name, shown, test["units"], unit, patients)
