"""Bring the data set as its publisher lays it out: ``python -m stages.download``."""

from __future__ import annotations

from stages import params
from stages.download import datasets
from stages.entry import run
from stages.errors import DataError
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
    from stages.download.bring import bring, is_there
    from stages.download.source import describe, recall

    try:
        source = recall(dataset.name)
    except DataError as error:
        if not is_there(dataset, raw):
            raise
        print(f"download: {error.what}; {raw} stays as it was brought from there", flush=True)
        return
    print(f"download: {dataset.title}, {describe(source, dataset.homepage)}", flush=True)
    bring(dataset, source, raw)


if __name__ == "__main__":
    run(main)
