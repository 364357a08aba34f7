"""``auscult compare``: reproduce base and head, compare them, and write JSON, Markdown and a page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

from auscult import settings
from auscult.comparison import differences, document, markdown, mean, revisions
from auscult.comparison.differences import POINT_ESTIMATES, Evaluated, Method
from auscult.comparison.document import SCHEMA, Comparison, Data, Experiment, Fault, Part, Revision, shorten
from auscult.comparison.page import write_page
from auscult.comparison.revisions import Results
from auscult.comparison.verdict import verdict
from auscult.core import params as parameters
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_text
from auscult.curation.diff.difference import difference
from auscult.curation.diff.formats import summary
from auscult.curation.diff.version import at_folder
from auscult.pipeline import run as repro
from auscult.registry.gate.noise import NOISE_FILE, PARTS, SAME_MODEL, Noise, find_noise, load_noise
from auscult.versioning import lockfile, locks, worktree
from auscult.versioning.graph import Run, reproduce_all, without_root

_LOG = logging.getLogger(__name__)
FOLDER = Path("reports/comparison")
#: What brings the metrics in git up to date.
_RENEW = {
    "head": "make repro, then git add dvc.lock reports data && git commit",
    "base": "nothing on this branch; the branch of the base needs make repro and a commit",
}
_MAX_EXPERIMENTS, _MAX_ENTRIES = 100, 400


def report(base: str, head: str | None = None) -> Comparison:
    """Compare head with its merge base with *base*, and write ``reports/comparison/``.

    Parameters
    ----------
    base
        Branch, tag or commit.
    head
        A revision, which is reproduced in a temporary worktree as the base is; by default what is checked out,
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
        _LOG.info("Head: %s, %s%s", new.name, new.commit[:10], " with uncommitted changes" * new.dirty)
        head_place, base_place = root, root
        if head is not None:
            head_place = worktrees.enter_context(revisions.checked_out(root, "head", new.commit))
        head_made = _reproduce(head_place, new, _in_place if head is None else _in_worktree)
        base_made, data = Results(old), None
        if not old.fault:
            _LOG.info("\nBase: %s, %s", old.name, old.commit[:10])
            base_place = worktrees.enter_context(revisions.checked_out(root, "base", old.commit))
            base_made = _reproduce(base_place, old, _in_worktree)
        method, faults = _method(head_place)
        if head_made.revision.fault:
            faults = []
        elif not base_made.revision.fault:
            data, found = _data(base_place, base_made.run, head_place, head_made.run)
            faults += found
        made = compare(head_place, base_made, head_made, method, data, faults)
    document.write(root / FOLDER / document.JSON, made)
    write_text(root / FOLDER / document.MARKDOWN, markdown.render(made))
    write_page(root / FOLDER / document.PAGE, made)
    return made


def sentence(made: Comparison) -> str:
    """Return the verdict, the report's files, and what the pipeline wrote that is not in git, for the terminal."""
    text = f"\n{verdict(made).line()}\n\nComparison: {FOLDER / document.PAGE} and {FOLDER / document.MARKDOWN}"
    if changed := revisions.uncommitted_outputs(Path.cwd()):
        text += (
            f"\n\nNot committed: {', '.join(changed)}, as the pipeline wrote them for what is checked out."
            " To keep them: git add dvc.lock reports data && git commit"
        )
    return text


def _reproduce(place: Path, revision: Revision, run_pipeline: Callable[[Path], Run]) -> Results:
    """Run a revision's pipeline and read the results; the revision's ``fault`` says why there are none."""
    recorded, run = (revisions.uncommitted if revision.dirty else revisions.committed)(place), Run()
    try:
        run = run_pipeline(place)
        if not run.fault:
            return revisions.read(place, revision, run, recorded)
        fault = run.fault
    except AuscultError as error:
        fault = " ".join(without_root(place, error.what).split())
    return Results(replace(revision, fault=shorten(fault)), run)


def _in_place(root: Path) -> Run:
    """Bring the checkout up to date as ``make repro`` does."""
    params = parameters.load(root / parameters.FILE)
    repro.check_names(params)
    repro.make_ready(params.dataset)
    with repro.restoring(params.dataset):
        run = reproduce_all(root)
    if not run.fault and all(stage.outcome not in ("failed", "not reached") for stage in run.stages.values()):
        lockfile.keep(params.dataset)
    return run


def _in_worktree(place: Path) -> Run:
    """Reproduce a worktree: outputs come from the cache or the remote, else they are computed."""
    worktree.fill(place)
    # Only what is compared is made, not the report. DVC refuses the name of a group of stages that is empty.
    *_, combinations = parameters.of_any_revision(place / parameters.FILE)
    return reproduce_all(place, ["evaluate", *(["evaluate_combined"] if combinations else [])])


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
        return None, [Fault("head", "data", shorten(f"the data could not be compared: {reason}"))]
    counts = [document.Count(each["name"][:200], each["before"], each["after"]) for each in found["counts"]]
    return Data(found["before"][:120], found["after"][:120], bool(found["changed"]), tuple(counts[:200])), []


def _method(place: Path) -> tuple[Method, list[Fault]]:
    """Return how head's settings want intervals to be computed; without valid settings there are none."""
    try:
        flows = settings.load(place)[1]
    except AuscultError as error:
        reason = f"there are no intervals: {without_root(place, error.what)}"
        return POINT_ESTIMATES, [Fault("head", settings.FILE.as_posix(), shorten(reason))]
    how = flows.compare
    return Method(how.confidence, how.resamples, how.seed, how.min_patients, flows.gate), []


def compare(
    place: Path, base: Results, head: Results, asked: Method, data: Data | None, faults: Sequence[Fault] = ()
) -> Comparison:
    """Return the comparison of two revisions whose pipelines have run.

    Parameters
    ----------
    place
        Folder of head's table of seed variance.
    asked
        Its confidence is for all experiments together: the allowed error is divided among those in both revisions.
    faults
        Those that are known already.
    """
    if head.dataset and base.dataset not in ("", head.dataset):
        fault = f"base has the data set {base.dataset}, head has {head.dataset}: their metrics cannot be compared"
        base = Results(replace(base.revision, fault=fault), base.run)
    dataset = head.dataset or base.dataset
    missing = "there is no base to compare with" if base.revision.fault else ""
    missing = "the head could not be read" if head.revision.fault else missing
    names = list(dict.fromkeys([*head.experiments, *base.experiments]))
    pairs = _retrained(base, head)
    with_mean = mean.is_defined(pairs, asked)
    shared_by = max(1, len(head.experiments.keys() & base.experiments.keys()) + with_mean)
    method = replace(asked, confidence=round(1.0 - (1.0 - asked.confidence) / shared_by, 6))
    noise: Mapping[str, Noise] = {}
    try:
        noise = load_noise(place, dataset)
    except DataError as error:
        faults = [*faults, Fault("head", NOISE_FILE.as_posix(), shorten(error.what))]
    experiments = [
        _experiment(name, base.experiments.get(name), head.experiments.get(name), noise, method, missing)
        for name in names[:_MAX_EXPERIMENTS]
    ]
    experiments = [_redefined(each, base, head) if each.state == "same" else each for each in experiments]
    if len(names) > _MAX_EXPERIMENTS:
        reason = f"only the first {_MAX_EXPERIMENTS} of {len(names)} experiments are compared"
        faults = [*faults, Fault("head", "experiments", reason)]
    head_lock = base.lock if head.revision.fault else head.lock
    stages = revisions.changed_stages(head_lock if missing else base.lock, head_lock, base.run, head.run)
    return Comparison(
        SCHEMA,
        dataset,
        base.revision,
        head.revision,
        method.confidence,
        shared_by,
        method.resamples,
        tuple(experiments),
        () if missing else tuple(revisions.changed_parameters(base.params, head.params)[:_MAX_ENTRIES]),
        data,
        tuple(stages[:_MAX_ENTRIES]),
        tuple(revisions.sizes(base.lock, head.lock, both=not missing) if head.lock else ()),
        tuple([*faults, *_faults("head", head), *_faults("base", base)][:_MAX_ENTRIES]),
        mean.mean_of(pairs, {name: find_noise(noise, name) for name in pairs}, method),
    )


def _retrained(base: Results, head: Results) -> dict[str, tuple[Evaluated, Evaluated]]:
    """Return the experiments, without combinations, whose models differ in base and head, with the same classes."""
    found = {}
    for name in head.params.get("experiments") or {}:
        old, new = base.experiments.get(name), head.experiments.get(name)
        if not isinstance(old, Evaluated) or not isinstance(new, Evaluated):
            continue
        if old.task == new.task and not old.model == new.model != "":
            found[name] = old, new
    return found


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
    state: Literal["added", "removed", "unreadable"] = "unreadable"
    if (old is None or new is None) and not missing:  # a revision that could not be read may have this experiment
        state = "removed" if new is None else "added"
    notes = [(which, each) for which, each in (("head", new), ("base", old)) if isinstance(each, str)]
    note = "; ".join(each if old is None or new is None else f"{which}: {each}" for which, each in notes) or missing
    found = new if isinstance(new, Evaluated) else old
    if not isinstance(found, Evaluated):
        return Experiment(name, "", state, "not measured", shorten(note), ())
    parts = _single(found, absent="base" if found is new else "head")
    limits = differences.missed_limits(None, found, method.gate) if found is new else ()
    return Experiment(name, found.task.name, state, "not measured", shorten(note), parts, limits)


def _compared(name: str, old: Evaluated, new: Evaluated, noise: Mapping[str, Noise], method: Method) -> Experiment:
    if old.task.normal != new.task.normal or old.task.unit != new.task.unit:
        note = (
            f"the task differs: {old.task.unit}s with normal class {old.task.normal!r} in base,"
            f" {new.task.unit}s with {new.task.normal!r} in head"
        )
        parts = _single(new, absent="base")
        limits = differences.missed_limits(None, new, method.gate)
        return Experiment(name, new.task.name, "unreadable", "not measured", shorten(note), parts, limits)
    same_model = old.model == new.model != ""
    same = same_model and differences.equal_predictions(old, new)
    known = SAME_MODEL if same_model else find_noise(noise, name)
    parts = tuple(differences.compare(part, old, new, known, method, same=same) for part in PARTS)
    note = ""
    if old.task.classes != new.task.classes:
        note = "the classes differ: compared on units whose class has the same name in base and head"
    elif same_model and not same:
        note = "the model files are the same, the predictions are not: the evaluation or the data differ"
    limits = differences.missed_limits(old, new, method.gate)
    return Experiment(name, new.task.name, "same" if same else "compared", known.kind, note, parts, limits)


def _single(evaluated: Evaluated, absent: Literal["base", "head"]) -> tuple[Part, ...]:
    return tuple(differences.single(part, evaluated, absent) for part in PARTS)


def _redefined(experiment: Experiment, base: Results, head: Results) -> Experiment:
    """Add a note where the predictions are equal but the metrics files are not.

    Head's metrics are used for both revisions, so the comparison itself cannot show that difference.
    """
    path = Paths(head.dataset).metrics(experiment.name).as_posix()
    if revisions.recorded_digest(base.lock, path) == revisions.recorded_digest(head.lock, path):
        return experiment
    note = "model and predictions are the same, the metrics files are not: the computation of the metrics differs"
    return replace(experiment, note=f"{note}; the values shown are computed by head's code for base and head")


def _faults(which: Literal["base", "head"], results: Results) -> Iterator[Fault]:
    for where, reason in results.faults:
        yield Fault(which, where[:200], shorten(reason))
    for name, evaluated in results.experiments.items():
        if isinstance(evaluated, Evaluated):
            where = Paths(results.dataset).metrics(name).as_posix()[:200]
            for reason in differences.disagreements(evaluated):
                yield Fault(which, where, shorten(f"{reason}; next: {_RENEW[which]}"))
