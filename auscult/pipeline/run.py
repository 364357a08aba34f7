"""``make repro``: from whatever is there to an up-to-date report, and back to the last good state on failure.

DVC decides what runs. Around it this module clears a lock whose process is dead, checks
everything that was asked for before anything is touched (a run that is refused leaves
``params.yaml`` as it is: another one may be reading it), remembers a data set's source,
restores the outputs of a stage that failed, and ends with a table of the results.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from auscult.core import params as parameters
from auscult.core.errors import AuscultError, ParameterError, unknown_name
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import replacing_file
from auscult.versioning import lock_copies, locks
from auscult.versioning.commands import DVC, python_first
from auscult.versioning.lockfile import LOCK

#: A disk with less than this left counts as full.
_FULL_BYTES = 32 << 20
NAME_ONE = "name one of these in params.yaml, and run the same command again"


def reproduce(dataset: str | None = None, source: str | None = None) -> None:
    """Bring the pipeline up to date and print the results.

    Raises
    ------
    AuscultError
        Another run is in progress, a parameter or the source is wrong, or a stage failed.
    """
    if not Path("dvc.yaml").exists():
        raise AuscultError("there is no dvc.yaml here", where=str(Path.cwd()), next_step="cd into the repository")
    with locks.only_run():
        _reproduce(dataset, source)


def _reproduce(dataset: str | None, source: str | None) -> None:
    locks.clear_dead()
    text = parameters.read()
    chosen = text if dataset is None else with_dataset(text, dataset)
    params = parameters.parse(chosen)
    check_names(params)
    _make_ready(params.dataset)
    if source is not None:
        from auscult.datasets.retrieval.source import remembered

        with remembered(params.dataset, source), _written(chosen, instead_of=text):
            _dvc(params.dataset, "repro", "--force", "--single-item", "download")
    elif chosen != text:  # last of all: whatever could be refused has not been
        _write(chosen)
    _dvc(params.dataset, "repro")
    _finish(params)


def _make_ready(dataset: str) -> None:
    """Say which addition is missing and how to get it: DVC would stop with "missing data 'source'".

    A data set's table of withdrawals is made where it is missing: nobody has withdrawn from a new one.
    """
    from auscult.core import withdrawals
    from auscult.curation.additions import make_ready

    make_ready()
    withdrawals.make_ready(dataset)


def _write(text: str) -> None:
    with replacing_file(parameters.FILE) as scratch:
        scratch.write_bytes(text.encode("utf-8"))


@contextmanager
def _written(chosen: str, *, instead_of: str) -> Iterator[None]:
    """Have *chosen* in the parameters' file; the text of before is put back where the block is refused."""
    if chosen != instead_of:
        _write(chosen)
    try:
        yield
    except AuscultError:
        if chosen != instead_of:
            _write(instead_of)
        raise


def with_dataset(text: str, name: str) -> str:
    """The parameters file's text with another ``dataset``; everything else, comments too, stays as it is.

    Raises
    ------
    ParameterError
        There is no such data set, or no line that names one.
    """
    from auscult import datasets

    datasets.load(name)
    changed, count = re.subn(r"(?m)^dataset:[ \t]*\S+", f"dataset: {name}", text, count=1)
    if count != 1:
        raise ParameterError(
            "there is no line 'dataset: …'",
            where=str(parameters.FILE),
            next_step=f"write one: dataset: {name}",
        )
    return changed


def check_names(params: Params) -> None:
    """Refuse an experiment whose task, representation or model does not exist, before a stage runs.

    Raises
    ------
    ParameterError
        Naming the entry, and what there is instead.
    """
    from auscult import datasets, models
    from auscult.core.tasks import find_task
    from auscult.features import representations

    dataset = datasets.load(params.dataset)
    for name, experiment in params.experiments.items():
        find_task(experiment.task, dataset.tasks, dataset=params.dataset, experiment=name)
        where = f"params.yaml: experiments.{name}"
        if experiment.features not in representations.names():
            known = representations.names()
            raise unknown_name("features", experiment.features, known, where=f"{where}.features", next_step=NAME_ONE)
        if experiment.model not in models.names():
            raise unknown_name("model", experiment.model, models.names(), where=f"{where}.model", next_step=NAME_ONE)


def _dvc(dataset: str, *arguments: str) -> None:
    """Run DVC with its output on the terminal; on failure or Ctrl-C restore the data set's last good outputs."""
    metrics = _metrics(dataset)
    try:
        code = _run(*arguments)
        if code != 0 and (mended := lock_copies.mend(dataset)):
            print(f"\n{mended}\n", flush=True)
            code = _run(*arguments)
    except KeyboardInterrupt:
        _restore(dataset, metrics)
        raise
    if code != 0:
        _restore(dataset, metrics)
        full = _full_disk()
        raise AuscultError(
            "the pipeline stopped; the message above says where and why" + (f"; {full} is full" if full else ""),
            next_step=(
                "free some space (`dvc gc --workspace --all-branches` drops older outputs)" if full else "mend it"
            )
            + " and run the same command again; what was finished is kept",
        )
    lock_copies.keep(dataset)


def _full_disk() -> str | None:
    """The folder whose disk is as good as full: DVC says so once per file, in the midst of other lines."""
    places = [place for place in (".dvc/cache", ".") if Path(place).is_dir()]
    return next((place for place in places if shutil.disk_usage(place).free < _FULL_BYTES), None)


def _run(*arguments: str) -> int:
    process = subprocess.Popen([*DVC, *arguments], env=python_first())
    previous = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()  # it was interrupted as well, and ends by itself
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def restoring(dataset: str) -> Iterator[None]:
    """Bring a data set's last good outputs back where the block leaves some missing, as a stage that failed does."""
    metrics = _metrics(dataset)
    try:
        yield
    finally:
        _restore(dataset, metrics)


def _metrics(dataset: str) -> dict[Path, bytes]:
    """Metrics and the data's card as they are. They are in git, not in DVC's cache: DVC cannot bring them back."""
    paths = Paths(dataset)
    kept = (*(paths.reports / "metrics").glob("*.json"), paths.card, paths.version)
    return {path: path.read_bytes() for path in kept if path.exists()}


def _restore(dataset: str, metrics: Mapping[Path, bytes]) -> None:
    """Bring back the outputs that DVC removed before the stage that failed, as the locks record them."""
    for path, content in metrics.items():
        if not path.exists():
            with replacing_file(path) as scratch:
                scratch.write_bytes(content)
    _checkout(lock_copies.recorded_outs(LOCK, dataset))
    of_last_run = lock_copies.recorded_outs(lock_copies.copy_of(dataset), dataset)
    if any(not Path(out).exists() for out in of_last_run):  # another data set ran since
        with lock_copies.in_place_of(dataset):
            _checkout(of_last_run)


def _checkout(outs: list[str]) -> None:
    lost = [out for out in outs if not Path(out).exists()]
    if lost:
        command = [*DVC, "checkout", "--quiet", "--allow-missing", *lost]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _finish(params: Params) -> None:
    from auscult.reporting.report.summary import results_table

    paths = Paths(params.dataset)
    started = time.monotonic()
    tracked = subprocess.run([sys.executable, "-m", "auscult", "models", "track"], check=False).returncode == 0
    if time.monotonic() - started > 1:
        print()
    print(results_table(paths, params))
    if left := left_over(paths, params):
        names = " ".join(str(path) for path in left)
        print(
            f"\nOf experiments that params.yaml no longer names; until they are gone, dvc.lock differs from that of a\n"
            f"clean clone (the report depends on their folders): rm -r {names}"
        )
    print(f"\nReport: {paths.reports / 'index.html'}")
    if not tracked:
        raise AuscultError(
            "the results stand, but MLflow was not brought up to date; the message above the table says why",
            where="mlflow.db",
            next_step="mend it, or move mlflow.db away (it is made again), then: auscult models track",
        )


def left_over(paths: Paths, params: Params) -> list[Path]:
    """Outputs of experiments that are not in ``params.yaml`` any more."""
    places = (paths.model("x").parent, paths.evaluation("x").parent, paths.metrics("x").parent)
    found = [path for place in places if place.is_dir() for path in sorted(place.iterdir())]
    return [path for path in found if path.stem not in params.experiments and not path.name.startswith(".")]
