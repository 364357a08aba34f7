"""Record trained models in MLflow: ``python -m auscult.registry``."""

from __future__ import annotations

from auscult.core.process import run
from auscult.registry.tracking import track

if __name__ == "__main__":
    run(track)
