"""``python -m stages.evaluate <experiment>``: what a trained model is worth, beside two floors and an opponent."""

from __future__ import annotations

import sys

from auscult.core import params
from auscult.core.digests import file_sha256
from auscult.core.errors import ParameterError
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import replacing_folder, write_json


def main() -> None:
    """Read features, split and model; write the evaluation folder and the metrics."""
    config = params.load()
    if len(sys.argv) != 2:
        raise ParameterError(
            "evaluate needs the name of one experiment",
            next_step=f"python -m stages.evaluate <experiment>, one of: {', '.join(config.experiments)}",
        )
    name = sys.argv[1]
    experiment = config.experiment(name)
    paths = Paths(config.dataset)
    from auscult.evaluation.assessment import assess, flat_metrics
    from auscult.evaluation.outputs import write_evaluation
    from auscult.evaluation.predictions import judge
    from auscult.training.trained_model import DESCRIPTION, TrainedModel

    model = TrainedModel.load(paths.model(name))
    judged = judge(paths, experiment.features, model)
    evaluation = {
        "experiment": name,
        "dataset": config.dataset,
        "features": experiment.features,
        "model": model.about["model"],
        "model_sha256": file_sha256(paths.model(name) / DESCRIPTION),
        **assess(judged, model, config.evaluate),
    }
    with replacing_folder(paths.evaluation(name)) as folder:
        write_evaluation(folder, judged, evaluation)
    measured = {part: flat_metrics(evaluation["parts"][part]) for part in ("validation", "test")}
    write_json(paths.metrics(name), measured)
    test = evaluation["parts"]["test"]
    score = test["metrics"]["score"]
    shown = f"{100 * score['value']:.1f}" if "value" in score else score["undefined"]
    print(f"evaluate: {name}: score {shown} on {test['units']} {model.task.unit}s of {test['patients']} test patients")


if __name__ == "__main__":
    run(main)
