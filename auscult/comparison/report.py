"""``auscult compare``: reproduce base and head, compare them, and write JSON, markdown and a page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from auscult import settings
from auscult.comparison import differences, document, markdown, revisions
from auscult.comparison.differences import PARTS, POINT_ESTIMATES, SAME_MODEL, Evaluated, Method, Noise
from auscult.comparison.document import SCHEMA, Comparison, Data, Experiment, Fault, Part, Revision
from auscult.comparison.page import write_page
from auscult.comparison.revisions import Recorded, Results
from auscult.comparison.verdict import verdict
from auscult.core import params as parameters
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_text
from auscult.curation.diff.difference import difference
from auscult.curation.diff.formats import summary
from auscult.curation.diff.version import at_folder
from auscult.pipeline import run as repro
from auscult.versioning import lockfile, locks, worktree
from auscult.versioning.graph import Run, reproduce_all, without_root

_LOG = logging.getLogger(__name__)
FOLDER = Path("reports/comparison")
#: In a worktree only what is compared is made, not the report.
_TARGETS = ("evaluate",)
_MAX_EXPERIMENTS, _MAX_ENTRIES = 100, 400


@dataclass
class Reproduced:
    """One revision after its pipeline has run.

    Attributes
    ----------
    revision
        Its ``fault`` says why nothing was read.
    results
        None where nothing could be read.
    """

    revision: Revision
    run: Run = field(default_factory=Run)
    results: Results | None = None


def report(base: str, head: str | None = None) -> Comparison:
    """Compare head with its merge base with *base*, and write ``reports/comparison/``.

    Parameters
    ----------
    base
        Branch, tag or commit.
    head
        A revision, which is reproduced in a throw-away worktree as the base is; by default what is checked out,
        uncommitted changes included, which is reproduced in place.

    Raises
    ------
    AuscultError
        No repository, no such revision, or another run in progress. A pipeline that fails is part of the comparison.
    """
    root = Path.cwd()
    with locks.only_run(), ExitStack() as worktrees:
        locks.end_orphans()  # DVC processes of a killed comparison would go on in the worktrees that are made anew
        locks.clear_dead()
        revisions.remove_old_worktrees(root)
        new = revisions.head_of(root, head)
        old = revisions.base_of(root, base, new)
        changes = " with uncommitted changes" if new.dirty else ""
        _LOG.info("Head: %s, %s%s", new.name, new.commit[:10], changes)
        if head is None:
            head_place, head_made = root, _reproduce_in_place(root, new)
        else:
            head_place = worktrees.enter_context(revisions.checked_out(root, "head", new.commit))
            head_made = _reproduce_in_worktree(head_place, new)
        base_made, data = Reproduced(old), None
        faults: list[Fault] = []
        if not old.fault:
            _LOG.info("\nBase: %s, %s", old.name, old.commit[:10])
            base_place = worktrees.enter_context(revisions.checked_out(root, "base", old.commit))
            base_made = _reproduce_in_worktree(base_place, old)
            if head_made.results and base_made.results:
                data, faults = _data(base_place, base_made.run, head_place, head_made.run)
        made = compare(head_place, base_made, head_made, _method(head_place), data)
        made = replace(made, faults=(*made.faults, *faults)[:_MAX_ENTRIES])
    document.write(root / FOLDER / document.JSON, made)
    write_text(root / FOLDER / document.MARKDOWN, markdown.render(made))
    write_page(root / FOLDER / document.PAGE, made)
    return made


def sentence(made: Comparison) -> str:
    """Return the verdict and the report's files, for the terminal."""
    return f"\n{verdict(made).line()}\n\nComparison: {FOLDER / document.PAGE} and {FOLDER / document.MARKDOWN}"


def _reproduce_in_place(root: Path, revision: Revision) -> Reproduced:
    """Bring the checkout up to date as ``make repro`` does."""
    recorded, run = (revisions.uncommitted if revision.dirty else revisions.committed)(root), Run()
    try:
        params = parameters.load(root / parameters.FILE)
        repro.check_names(params)
        repro.make_ready(params.dataset)
        with repro.restoring(params.dataset):
            run = reproduce_all(root)
        if not run.fault and all(stage.outcome not in ("failed", "not reached") for stage in run.stages.values()):
            lockfile.keep(params.dataset)
    except AuscultError as error:
        return Reproduced(replace(revision, fault=_one_line(error, root)), run)
    return _read(root, revision, run, recorded)


def _reproduce_in_worktree(place: Path, revision: Revision) -> Reproduced:
    """Reproduce a revision in its worktree: outputs come from the cache or the remote, else they are computed."""
    recorded, run = revisions.committed(place), Run()
    try:
        worktree.fill(place)
        run = reproduce_all(place, _TARGETS)
    except AuscultError as error:
        return Reproduced(replace(revision, fault=_one_line(error, place)), run)
    return _read(place, revision, run, recorded)


def _read(place: Path, revision: Revision, run: Run, recorded: Recorded) -> Reproduced:
    if run.fault:
        return Reproduced(replace(revision, fault=run.fault[:600]), run)
    try:
        return Reproduced(revision, run, revisions.read(place, run, recorded))
    except AuscultError as error:
        return Reproduced(replace(revision, fault=_one_line(error, place)), run)


def _one_line(error: AuscultError, place: Path) -> str:
    return " ".join(without_root(place, error.what).split())[:600]


def _method(root: Path) -> Method:
    """Return the settings of the checkout; without valid ones only point estimates are compared."""
    try:
        _, chosen = settings.load(root)
    except AuscultError:
        return POINT_ESTIMATES
    how = chosen.compare
    return Method(how.confidence, how.resamples, how.seed, how.min_patients)


def _data(base_place: Path, base: Run, head_place: Path, head: Run) -> tuple[Data | None, list[Fault]]:
    """Return how the data differ, as counts without names of patients; else why that is not known."""
    missing = (run.missing_reason(stage) for run in (head, base) for stage in ("validate", "split"))
    reason = next(filter(None, missing), "")
    if not reason:
        try:
            found = summary(difference(at_folder(base_place), at_folder(head_place)))
        except (AuscultError, OSError, ValueError, KeyError) as error:
            reason = error.what if isinstance(error, AuscultError) else str(error)
            reason = without_root(head_place, without_root(base_place, reason))
    if reason:
        return None, [Fault("head", "data", _shortened(f"the data could not be compared: {reason}"))]
    counts = [document.Count(each["name"][:200], each["before"], each["after"]) for each in found["counts"]]
    return Data(found["before"][:120], found["after"][:120], bool(found["changed"]), tuple(counts[:200])), []


def compare(place: Path, base: Reproduced, head: Reproduced, asked: Method, data: Data | None) -> Comparison:
    """Return the comparison of two reproduced revisions.

    Parameters
    ----------
    place
        Folder of the table of retraining noise.
    asked
        Its confidence is for all experiments together: the allowed error is divided among those in both revisions.
    """
    old = base.results or Results("")
    new = head.results or Results(old.dataset)
    if base.results and head.results and old.dataset != new.dataset:
        fault = f"base has the data set {old.dataset}, head has {new.dataset}: their metrics cannot be compared"
        base, old = Reproduced(replace(base.revision, fault=fault), base.run), Results("")
    names = list(dict.fromkeys([*new.experiments, *old.experiments]))
    shared_by = max(1, len(new.experiments.keys() & old.experiments.keys()))
    method = replace(asked, confidence=round(1.0 - (1.0 - asked.confidence) / shared_by, 6))
    noise, faults = _noise(place, new.dataset)
    missing = "" if base.results else "there is no base to compare with"
    missing = missing if head.results else "the head could not be read"
    experiments = [
        _experiment(name, old.experiments.get(name), new.experiments.get(name), noise, method, missing)
        for name in names[:_MAX_EXPERIMENTS]
    ]
    experiments = [_redefined(each, old, new) if each.state == "same" else each for each in experiments]
    if len(names) > _MAX_EXPERIMENTS:
        reason = f"only the first {_MAX_EXPERIMENTS} of {len(names)} experiments are compared"
        faults.append(Fault("head", "experiments", reason))
    faults += [*_faults("head", new), *_faults("base", old)]
    head_lock = new.lock if head.results else old.lock
    stages = revisions.changed_stages(old.lock if not missing else head_lock, head_lock, base.run, head.run)
    return Comparison(
        SCHEMA,
        new.dataset,
        base.revision,
        head.revision,
        method.confidence,
        shared_by,
        method.resamples,
        tuple(experiments),
        () if missing else tuple(revisions.changed_parameters(old.params, new.params)[:_MAX_ENTRIES]),
        data,
        tuple(stages[:_MAX_ENTRIES]),
        tuple(revisions.sizes(old.lock, new.lock, both=not missing) if new.lock else ()),
        tuple(faults[:_MAX_ENTRIES]),
    )


def _experiment(
    name: str,
    old: Evaluated | str | None,
    new: Evaluated | str | None,
    noise: Mapping[str, Noise],
    method: Method,
    missing: str,
) -> Experiment:
    """Compare one experiment.

    Parameters
    ----------
    old, new
        Its evaluated model; a string says why there is none; None: the revision has no such experiment.
    missing
        Why a whole revision is missing; empty where none is.
    """
    if isinstance(old, Evaluated) and isinstance(new, Evaluated):
        return _compared(name, old, new, noise, method)
    found = new if isinstance(new, Evaluated) else old if isinstance(old, Evaluated) else None
    parts = _single(found, is_head=found is new) if found is not None else ()
    task = found.task.name if found is not None else ""
    if old is None or new is None:
        state: Literal["added", "removed", "unreadable"] = "removed" if new is None else "added"
        note = next((each for each in (new, old) if isinstance(each, str)), "")
        if missing:  # a revision that could not be read may have this experiment
            state, note = "unreadable", note or missing
        return Experiment(name, task, state, "not measured", _shortened(note), parts)
    notes = [f"{which}: {each}" for which, each in (("head", new), ("base", old)) if isinstance(each, str)]
    return Experiment(name, task, "unreadable", "not measured", _shortened("; ".join(notes)), parts)


def _compared(name: str, old: Evaluated, new: Evaluated, noise: Mapping[str, Noise], method: Method) -> Experiment:
    if old.task.normal != new.task.normal or old.task.unit != new.task.unit:
        note = (
            f"the task differs: {old.task.unit}s with normal class {old.task.normal!r} in base,"
            f" {new.task.unit}s with {new.task.normal!r} in head"
        )
        parts = _single(new, is_head=True)
        return Experiment(name, new.task.name, "unreadable", "not measured", _shortened(note), parts)
    same_model = old.model == new.model != ""
    same = same_model and differences.equal_predictions(old, new)
    known = SAME_MODEL if same_model else differences.find_noise(noise, name)
    parts = tuple(differences.compare(part, old, new, known, method, same=same) for part in PARTS)
    note = ""
    if old.task.classes != new.task.classes:
        note = "the classes differ: compared on units whose class has the same name in base and head"
    elif same_model and not same:
        note = "the model files are the same, the predictions are not: the evaluation or the data differ"
    return Experiment(name, new.task.name, "same" if same else "compared", known.kind, note, parts)


def _single(evaluated: Evaluated, *, is_head: bool) -> tuple[Part, ...]:
    return tuple(differences.single(part, evaluated, is_head=is_head) for part in PARTS)


def _redefined(experiment: Experiment, old: Results, new: Results) -> Experiment:
    """Add a note where the predictions are equal but the metrics files are not.

    Head's metrics are used for both revisions, so the comparison itself cannot show that difference.
    """
    path = Paths(new.dataset).metrics(experiment.name).as_posix()
    if revisions.recorded_digest(old.lock, path) == revisions.recorded_digest(new.lock, path):
        return experiment
    note = "model and predictions are the same, the metrics files are not: the computation of the metrics differs"
    return replace(experiment, note=f"{note}; the values shown are computed by head's code for base and head")


def _noise(place: Path, dataset: str) -> tuple[Mapping[str, Noise], list[Fault]]:
    """Return the table of retraining noise; a damaged one counts as not measured."""
    try:
        return differences.load_noise(place, dataset), []
    except DataError as error:
        return {}, [Fault("head", differences.NOISE_FILE.as_posix(), _shortened(error.what))]


def _faults(which: Literal["base", "head"], results: Results) -> Sequence[Fault]:
    found = [Fault(which, where[:200], _shortened(reason)) for where, reason in results.faults]
    for name, evaluated in results.experiments.items():
        if isinstance(evaluated, Evaluated):
            where = Paths(results.dataset).metrics(name).as_posix()[:200]
            found += [Fault(which, where, _shortened(reason)) for reason in differences.disagreements(evaluated)]
    return found


def _shortened(text: str, maximum: int = 600) -> str:
    return text if len(text) <= maximum else text[: maximum - 1] + "…"
