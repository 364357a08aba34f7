"""Paths of all outputs; a contract test compares them with dvc.yaml."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

#: Caches and search journals; no outputs of DVC, ignored by git.
CACHE_DIR = Path(".cache")
#: Prefixes of the dependencies in ``dvc.yaml`` that are code.
CODE = ("auscult/", "stages/")
#: Database and artifacts of MLflow.
DATABASE, ARTIFACTS = Path("mlflow.db"), Path("mlartifacts")
#: The column ``path`` of the manifest is relative to it.
DATA_DIR = Path("data")
#: Additions to all data sets, so no data set may be called ``added``.
ADDED_DIR = DATA_DIR / "added"
#: Withdrawals from all data sets, so no data set may be called ``withdrawn``.
WITHDRAWN_DIR = DATA_DIR / "withdrawn"
#: Corrections of all data sets, so no data set may be called ``corrections``.
CORRECTIONS_DIR = DATA_DIR / "corrections"


@dataclass(frozen=True)
class Paths:
    """Paths of one data set, relative to the root of the repository."""

    dataset: str

    @property
    def data(self) -> Path:
        return DATA_DIR / self.dataset

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    @property
    def added(self) -> Path:
        """Additions: a folder and a ``.dvc`` file each. No stage writes them."""
        return ADDED_DIR / self.dataset

    @property
    def withdrawn(self) -> Path:
        """Table of withdrawn patients, tracked by git."""
        return WITHDRAWN_DIR / f"{self.dataset}.csv"

    @property
    def corrections(self) -> Path:
        """Table of corrected labels, tracked by git."""
        return CORRECTIONS_DIR / f"{self.dataset}.csv"

    @property
    def pinned_split(self) -> Path:
        """Split assignment of the remaining patients, pinned at the first withdrawal; tracked by git."""
        return WITHDRAWN_DIR / f"{self.dataset}.sides.json"

    @property
    def manifest(self) -> Path:
        """Contains recordings, segments, rejects, corrections, fingerprints (Parquet), tasks.json, validation.html."""
        return self.data / "manifest"

    @property
    def split(self) -> Path:
        """Contains assignment.parquet and summary.json."""
        return self.data / "split"

    @property
    def card(self) -> Path:
        """Data card of this version of the data set, tracked by git."""
        return self.data / "README.md"

    @property
    def version(self) -> Path:
        """Name, digests and counts of this version, for ``dvc metrics``; tracked by git."""
        return self.data / "version.json"

    @property
    def audio(self) -> Path:
        """Contains audio.npy (float32 samples of all recordings, concatenated), index.parquet and spec.json."""
        return self.data / "audio"

    @property
    def all_features(self) -> Path:
        """Contains a folder per representation."""
        return self.data / "features"

    def features(self, representation: str) -> Path:
        """Contains segments.npy, windows.npy, a table for each, and spec.json."""
        return self.all_features / representation

    @property
    def all_balanced(self) -> Path:
        """Contains a table of synthetic rows per experiment."""
        return self.data / "balanced"

    def balanced(self, experiment: str) -> Path:
        return self.all_balanced / f"{experiment}.parquet"

    def model(self, experiment: str) -> Path:
        """Contains model.json, weights/fold-N.safetensors, trials.json and history.csv."""
        return Path("models") / self.dataset / experiment

    @property
    def all_combined(self) -> Path:
        """Contains a folder per combination of models: model.json, and the folders of its members in members/."""
        return Path("models") / "combined" / self.dataset

    def evaluated_model(self, name: str, combinations: Collection[str]) -> Path:
        """Return the folder of a model that is evaluated: of an experiment, or of one of the *combinations*."""
        return self.all_combined / name if name in combinations else self.model(name)

    @property
    def reports(self) -> Path:
        return Path("reports") / self.dataset

    def evaluation(self, experiment: str) -> Path:
        """Contains evaluation.json, predictions.parquet, plot data and PNG files."""
        return self.reports / "experiments" / experiment

    def hard_examples(self, experiment: str) -> Path:
        """Contains a page of the hardest units and a table of all, which a command writes; no output of a stage."""
        return self.reports / "hard-examples" / experiment

    def metrics(self, experiment: str) -> Path:
        """Metrics for ``dvc metrics``, tracked by git."""
        return self.reports / "metrics" / f"{experiment}.json"
