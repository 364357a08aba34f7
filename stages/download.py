"""Bring the data set as its publisher lays it out: ``python -m stages.download``."""

from __future__ import annotations

from auscult import datasets
from auscult.core import params, withdrawals
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import replacing_folder
from auscult.datasets.retrieval.leave_out import holds, leave_out, reduce


def main() -> None:
    settings = params.load()
    dataset = datasets.load(settings.dataset)
    raw = Paths(dataset.name).raw
    withdrawn = withdrawals.read(dataset.name)
    if dataset.generated:
        print(f"download: making {dataset.title}", flush=True)
        with replacing_folder(raw) as folder:
            dataset.make(folder, settings)
            if left := leave_out(dataset, folder, withdrawn):
                print(f"download: {left}", flush=True)
        return
    from auscult.datasets.retrieval.bring import bring, is_there
    from auscult.datasets.retrieval.source import describe, given_anew, recall, taken

    # Whoever has withdrawn can be left out of what is there: its source may be gone, or two gigabytes away.
    if raw.is_dir() and not given_anew(dataset.name) and holds(dataset, raw, withdrawn):
        print(f"download: {reduce(dataset, raw, withdrawn)}; the rest of {raw} stays as it was brought", flush=True)
        return
    try:
        source = recall(dataset.name)
    except DataError as error:
        if not is_there(dataset, raw):
            raise
        reduced = f", but {reduce(dataset, raw, withdrawn)}" if holds(dataset, raw, withdrawn) else ""
        print(f"download: {error.what}; {raw} stays as it was brought from there{reduced}", flush=True)
        return
    print(f"download: {dataset.title}, {describe(source, dataset.homepage)}", flush=True)
    bring(dataset, source, raw, withdrawn)
    taken(dataset.name)


if __name__ == "__main__":
    run(main)
