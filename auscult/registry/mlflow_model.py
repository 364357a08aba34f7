"""The MLflow model: this code, with the trained model's folder as its artifact.

MLflow runs this file when it logs and when it loads a model. Nothing is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class RespiratoryClassifier(PythonModel):
    """Classify audio files: a label and a probability per class."""

    def load_context(self, context: Any) -> None:
        """Load the trained model."""
        from auscult.training.trained_model import TrainedModel

        self.model = TrainedModel.load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify recordings or segments of them.

        Parameters
        ----------
        model_input
            Column ``path`` (audio file); for a segment also ``start_s`` and ``end_s`` (seconds).

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
            segments = [(_seconds(row.get("start_s")), _seconds(row.get("end_s"))) for _, row in rows.iterrows()]
            for index, predicted in zip(rows.index, predict(self.model, Path(str(path)), segments), strict=True):
                result.loc[index] = [predicted.label, *predicted.probabilities]
        return result.astype(dict.fromkeys(columns[1:], "float64"))


def _seconds(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


set_model(RespiratoryClassifier())
