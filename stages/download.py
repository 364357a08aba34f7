"""``python -m stages.download``: retrieve the data set in the layout of its publisher, without withdrawn patients."""

from __future__ import annotations

from auscult import datasets
from auscult.core import params
from auscult.core.process import run
from auscult.datasets.retrieval.retrieve import retrieve


def main() -> None:
    """Retrieve the data set that ``params.yaml`` names."""
    settings = params.load()
    retrieve(datasets.load(settings.dataset), settings)


if __name__ == "__main__":
    run(main)
