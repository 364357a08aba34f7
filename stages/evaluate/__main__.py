"""``python -m stages.evaluate <experiment>``: what a trained model is worth, beside two floors and an opponent."""

from __future__ import annotations

import sys

from stages import params
from stages.digests import file_sha256
from stages.entry import run
from stages.errors import ParameterError
from stages.paths import Paths
from stages.store import replacing_folder, write_json


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
    from stages.evaluate.assessment import assess, flat_metrics
    from stages.evaluate.judging import judge
    from stages.evaluate.writing import write_evaluation
    from stages.train.trained import DESCRIPTION, TrainedModel

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
