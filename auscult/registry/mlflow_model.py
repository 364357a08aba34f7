"""The model as MLflow loads it: logged as this code, with the trained folder as its artifact.

MLflow runs this file when it logs and when it loads a model; nothing is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class RespiratoryClassifier(PythonModel):
    """Audio files in, a label and a probability per class out."""

    def load_context(self, context: Any) -> None:
        """Read the trained folder."""
        from auscult.training.trained_model import TrainedModel

        self.model = TrainedModel.load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Judge recordings or stretches of them.

        Parameters
        ----------
        model_input
            Column ``path`` (audio file); for a stretch also ``start_s`` and ``end_s`` (seconds).

        Returns
        -------
        DataFrame
            ``label`` and ``probability_<class>`` per row, in the input's order.
        """
        from auscult.inference.predictor import predict

        table = pd.DataFrame(model_input).reset_index(drop=True)
        columns = ["label", *(f"probability_{name}" for name in self.model.task.classes)]
        result = pd.DataFrame(index=table.index, columns=columns, dtype=object)
        for path, rows in table.groupby("path", sort=False):
            stretches = [(_seconds(row.get("start_s")), _seconds(row.get("end_s"))) for _, row in rows.iterrows()]
            for index, answer in zip(rows.index, predict(self.model, Path(str(path)), stretches), strict=True):
                result.loc[index] = [answer.label, *answer.probabilities]
        return result.astype(dict.fromkeys(columns[1:], "float64"))


def _seconds(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


set_model(RespiratoryClassifier())
