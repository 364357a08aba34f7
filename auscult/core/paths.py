"""Where outputs lie: each place is spelled here and in dvc.yaml, and a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Content-addressed cache and search journals: outside DVC's outs, ignored by git.
CACHE_DIR = Path(".cache")
#: Where dependencies of a stage lie that are code, in ``dvc.yaml`` and ``dvc.lock``.
CODE = ("auscult/", "stages/")
#: MLflow's database and its artifacts.
DATABASE, ARTIFACTS = Path("mlflow.db"), Path("mlartifacts")
#: What ``path`` in the manifest is relative to.
DATA_DIR = Path("data")
#: Additions to all data sets; the name is therefore none for a data set.
ADDED_DIR = DATA_DIR / "added"
#: Withdrawals from all data sets; no data set's name either.
WITHDRAWN_DIR = DATA_DIR / "withdrawn"


@dataclass(frozen=True)
class Paths:
    """Where the outputs of one data set lie, relative to the repository's root."""

    dataset: str

    @property
    def data(self) -> Path:
        return DATA_DIR / self.dataset

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    @property
    def added(self) -> Path:
        """Holds the additions, a folder and a ``.dvc`` file each; none of it is a stage's output."""
        return ADDED_DIR / self.dataset

    @property
    def withdrawn(self) -> Path:
        """Table of the patients who have withdrawn, tracked by git."""
        return WITHDRAWN_DIR / f"{self.dataset}.csv"

    @property
    def sides(self) -> Path:
        """The sides of those who stay, from the first withdrawal on; tracked by git."""
        return WITHDRAWN_DIR / f"{self.dataset}.sides.json"

    @property
    def manifest(self) -> Path:
        """Holds recordings, segments and rejects (Parquet), tasks.json, fingerprints, validation.html."""
        return self.data / "manifest"

    @property
    def split(self) -> Path:
        """Holds assignment.parquet and summary.json."""
        return self.data / "split"

    @property
    def card(self) -> Path:
        """What this version of the data set holds, for a person; git keeps it."""
        return self.data / "README.md"

    @property
    def version(self) -> Path:
        """Its name, digests and counts, for ``dvc metrics``; git keeps it."""
        return self.data / "version.json"

    @property
    def audio(self) -> Path:
        """Holds audio.npy (float32 samples, end to end) and index.parquet."""
        return self.data / "audio"

    def features(self, representation: str) -> Path:
        """Holds segments.npy, windows.npy, a table beside each, and spec.json."""
        return self.data / "features" / representation

    def balanced(self, experiment: str) -> Path:
        return self.data / "balanced" / f"{experiment}.parquet"

    def model(self, experiment: str) -> Path:
        """Holds model.json, weights/seed-N.safetensors, trials.json and history.csv."""
        return Path("models") / self.dataset / experiment

    @property
    def reports(self) -> Path:
        return Path("reports") / self.dataset

    def evaluation(self, experiment: str) -> Path:
        """Holds evaluation.json, predictions.parquet, plot data and PNGs; metrics lie beside it."""
        return self.reports / "experiments" / experiment

    def metrics(self, experiment: str) -> Path:
        """The figures that git keeps and ``dvc metrics`` compares."""
        return self.reports / "metrics" / f"{experiment}.json"
