"""``auscult run`` (``make repro``): bring the pipeline up to date, and restore the last good outputs on failure.

DVC decides what runs. Around it this module removes a lock whose process is dead, checks everything that was asked for
before anything is touched (a run that is refused leaves ``params.yaml`` as it is: another run may be reading it),
remembers a data set's source, restores the outputs of a stage that failed, and ends with a table of the results.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from auscult.core import corrections, withdrawals
from auscult.core import params as parameters
from auscult.core.errors import AuscultError, ParameterError, unknown_name
from auscult.core.paths import ADDED_DIR, Paths
from auscult.core.sections import Params
from auscult.core.storage import replacing_file, write_text
from auscult.core.tasks import find_task
from auscult.validation.additions import batches
from auscult.versioning import lockfile, locks
from auscult.versioning.commands import on_terminal, succeeds

# A run that finds nothing to do must start fast: what loads pandas, audio libraries or templates is imported where it
# is used.

logger = logging.getLogger(__name__)

#: A disk with less free space than this counts as full.
_FULL_BYTES = 32 << 20
_FREE_SPACE = "free some space (`dvc gc --workspace --all-branches` removes older outputs)"
_NAME_ONE = "name one of these in params.yaml, and run the same command again"


def reproduce(dataset: str | None = None, source: str | None = None) -> None:
    """Bring the pipeline up to date and log the results.

    Parameters
    ----------
    dataset
        The data set to run, written into ``params.yaml``; by default the one that it names.
    source
        Folder, archive or URL to take the data set from; it is remembered, and ``download`` runs again.

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
    make_ready(params.dataset)
    if source is not None:
        from auscult.datasets.retrieval.source import remembered

        with remembered(params.dataset, source), _written(chosen, instead_of=text):
            _dvc(params.dataset, "repro", "--force", "--single-item", "download")
    elif chosen != text:  # last: nothing can be refused any more
        write_text(parameters.FILE, chosen)
    _dvc(params.dataset, "repro")
    _finish(params)


def make_ready(dataset: str) -> None:
    """Create what stages depend on and may be missing: the folder of additions, the tables of withdrawals, corrections.

    Raises
    ------
    DataError
        An addition is missing or not tracked. DVC would stop with "missing data 'source'".
    """
    ADDED_DIR.mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in ADDED_DIR.iterdir() if path.is_dir()):
        batches(folder)
    withdrawals.make_ready(dataset)
    corrections.make_ready(dataset)


@contextmanager
def _written(chosen: str, *, instead_of: str) -> Iterator[None]:
    """Write *chosen* to the parameters' file; write the earlier text again if the block raises an AuscultError."""
    if chosen != instead_of:
        write_text(parameters.FILE, chosen)
    try:
        yield
    except AuscultError:
        if chosen != instead_of:
            write_text(parameters.FILE, instead_of)
        raise


def with_dataset(text: str, name: str) -> str:
    """Return the text of ``params.yaml`` with another ``dataset``; everything else stays as it is, comments included.

    Raises
    ------
    ParameterError
        There is no such data set, or no line that names a data set.
    """
    from auscult import datasets

    datasets.load(name)
    changed, count = re.subn(r"(?m)^dataset:[ \t]*\S+", f"dataset: {name}", text, count=1)
    if count != 1:
        raise ParameterError(
            "there is no line 'dataset: …'",
            where=str(parameters.FILE),
            next_step=f"add one: dataset: {name}",
        )
    return changed


def check_names(params: Params) -> None:
    """Raise an :class:`AuscultError` if the task, representation or model of an experiment does not exist.

    The message names the entry and what exists instead, or what the file of a representation or a model lacks.
    """
    from auscult import datasets, models
    from auscult.combination import methods
    from auscult.features import representations

    dataset = datasets.load(params.dataset)
    for name, experiment in params.experiments.items():
        find_task(experiment.task, dataset.tasks, dataset=params.dataset, experiment=name)
        where = f"params.yaml: experiments.{name}"
        for kind, chosen, known in (
            ("features", experiment.features, representations.names()),
            ("model", experiment.model, models.names()),
        ):
            if chosen not in known:
                raise unknown_name(kind, chosen, known, where=f"{where}.{kind}", next_step=_NAME_ONE)
        representations.check(experiment.features)
        models.check(experiment.model)
    for name, combination in params.combinations.items():
        find_task(combination.task, dataset.tasks, dataset=params.dataset, experiment=name)
        methods.check(combination.method)


def _dvc(dataset: str, *arguments: str) -> None:
    """Run DVC with its output on the terminal; on failure or Ctrl-C restore the data set's last good outputs."""
    metrics, code = _metrics(dataset), 1
    try:
        code = on_terminal(Path(), "dvc", *arguments)
        if code != 0 and (restored := lockfile.restore(dataset)):
            logger.info("\n%s\n", restored)
            code = on_terminal(Path(), "dvc", *arguments)
    finally:
        if code != 0:
            _restore(dataset, metrics)
    if code != 0:
        full = _full_disk()
        raise AuscultError(
            "the pipeline stopped; the message above says where and why" + (f"; {full} is full" if full else ""),
            next_step=f"{_FREE_SPACE if full else 'fix it'} and run the same command again; finished stages are kept",
        )
    lockfile.keep(dataset)


def _full_disk() -> str | None:
    """Return a folder whose disk is full, or nearly: DVC reports it once per file, between other lines."""
    folders = [folder for folder in (".dvc/cache", ".") if Path(folder).is_dir()]
    return next((folder for folder in folders if shutil.disk_usage(folder).free < _FULL_BYTES), None)


@contextmanager
def restoring(dataset: str) -> Iterator[None]:
    """Restore a data set's last good outputs if the block leaves some missing, as a stage that failed does."""
    metrics = _metrics(dataset)
    try:
        yield
    finally:
        _restore(dataset, metrics)


def _metrics(dataset: str) -> dict[Path, bytes]:
    """Return the metrics files and the data card: DVC cannot restore them, as git keeps them, not DVC's cache."""
    paths = Paths(dataset)
    kept = (*(paths.reports / "metrics").glob("*.json"), paths.card, paths.version)
    return {path: path.read_bytes() for path in kept if path.exists()}


def _restore(dataset: str, metrics: Mapping[Path, bytes]) -> None:
    """Restore the outputs that DVC removed before the stage that failed, as the locks record them."""
    for path, content in metrics.items():
        if not path.exists():
            with replacing_file(path) as scratch:
                scratch.write_bytes(content)
    _checkout(lockfile.outs_of(lockfile.LOCK, dataset))
    of_last_run = lockfile.outs_of(lockfile.copy_of(dataset), dataset)
    if any(not Path(out).exists() for out in of_last_run):  # another data set has run since
        with lockfile.copy_in_place(dataset):
            _checkout(of_last_run)


def _checkout(outs: list[str]) -> None:
    if missing := [out for out in outs if not Path(out).exists()]:
        succeeds(Path(), "dvc", "checkout", "--quiet", "--allow-missing", *missing)


def _finish(params: Params) -> None:
    from auscult.reporting.report.summary import results_table

    paths = Paths(params.dataset)
    started = time.monotonic()
    tracked = subprocess.run([sys.executable, "-m", "auscult", "models", "track"], check=False).returncode == 0
    if time.monotonic() - started > 1:
        logger.info("")
    logger.info("%s", results_table(paths, params))
    if left := unnamed_outputs(paths, params):
        logger.info(
            "\nOutputs of experiments that params.yaml no longer names. The report depends on their folders, so that"
            " dvc.lock\ndiffers from that of a clean clone until you remove them: rm -r %s",
            " ".join(map(str, left)),
        )
    logger.info("\nReport: %s", paths.reports / "index.html")
    if not tracked:
        raise AuscultError(
            "the results are complete, but MLflow was not brought up to date; the message above the table says why",
            where="mlflow.db",
            next_step="do what it says, then: auscult models track",
        )


def unnamed_outputs(paths: Paths, params: Params) -> list[Path]:
    """Return outputs of experiments that ``params.yaml`` does not name any more."""
    folders: dict[Path, Collection[str]] = {
        paths.model("x").parent: params.experiments,
        paths.evaluation("x").parent: params.evaluated,
        paths.metrics("x").parent: params.evaluated,
    }
    found = [(path, named) for folder, named in folders.items() if folder.is_dir() for path in sorted(folder.iterdir())]
    return [path for path, named in found if path.stem not in named and not path.name.startswith(".")]
