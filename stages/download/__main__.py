"""Bring the data set as its publisher lays it out: ``python -m stages.download``."""

from __future__ import annotations

from stages import params
from stages.download import datasets
from stages.entry import run
from stages.paths import Paths
from stages.store import replacing_folder


def main() -> None:
    settings = params.load()
    dataset = datasets.load(settings.dataset)
    raw = Paths(dataset.name).raw
    if dataset.generated:
        print(f"download: making {dataset.title}", flush=True)
        with replacing_folder(raw) as folder:
            dataset.make(folder, settings)
        return
    from stages.download.bring import bring
    from stages.download.source import describe, recall

    source = recall(dataset.name)
    print(f"download: {dataset.title}, {describe(source, dataset.homepage)}", flush=True)
    bring(dataset, source, raw)


if __name__ == "__main__":
    run(main)
