"""Bring MLflow up to date with the outputs that lie here: ``python -m auscult.registry``.

Not a stage of the graph: it writes nothing that another stage reads, and may run at
any time, also after DVC has restored outputs from its cache.
"""

from __future__ import annotations

from auscult.core.paths import DATABASE
from auscult.core.process import run
from auscult.registry.outputs import find, tracked


def main() -> None:
    """Record every model that MLflow does not hold yet."""
    known = tracked()
    everything = list(find())
    new = [outputs for outputs in everything if (outputs.registered_name, outputs.digest) not in known]
    if not new:
        print(f"track: {len(everything)} models, nothing new")
        return

    from auscult.registry.tracking import Recorder

    recorder = Recorder()
    for outputs in new:
        print(f"track: {outputs.dataset}/{outputs.experiment}: {recorder.record(outputs)}", flush=True)
    print(f"track: look at them with: mlflow ui --backend-store-uri sqlite:///{DATABASE}")


if __name__ == "__main__":
    run(main)
