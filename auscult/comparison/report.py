"""``make pr-report``: both sides made, compared, and written as JSON, markdown and a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from auscult.comparison import document, markdown, revision, revisions
from auscult.comparison.comparing import Made
from auscult.comparison.comparing import document as compared
from auscult.comparison.document import Comparison, Data, Fault, Side
from auscult.comparison.figures import VALUES_ALONE, Method
from auscult.comparison.verdict import verdict
from auscult.core.errors import AuscultError
from auscult.core.storage import write_text
from auscult.pipeline import run as repro
from auscult.versioning import lockfile, locks, worktree
from auscult.versioning.graph import Run, below, reproduce_all

FOLDER = Path("reports/comparison")
#: Of the base only what is compared is made, not its report.
_NEEDED = ("evaluate",)


def report(base: str, tell: Callable[[str], None] = print) -> Comparison:
    """Compare what is checked out here with where it left *base*, and write ``reports/comparison/``.

    Raises
    ------
    AuscultError
        A user's mistake: no repository, no such revision, another run in progress. A side whose pipeline fails is
        no mistake of that kind, it is said in the comparison.
    """
    root = Path.cwd()
    with locks.only_run():
        locks.end_orphans()  # a killed comparison's DVC, which would go on in the worktree that is made anew
        locks.clear_dead()
        revisions.sweep(root)
        head = revisions.head_of(root)
        old = revisions.base_of(root, base, head)
        mine = _head(root, head, tell)
        made = _compare(root, mine, old, tell)
    _write(root, made)
    return made


def _compare(root: Path, mine: Made, old: Side, tell: Callable[[str], None]) -> Comparison:
    """Make the base and compare, while its worktree is there."""
    if old.fault:
        return compared(root, Made(old), mine, _method(root), None)
    with revisions.checked_out(root, old.commit) as place:
        tell(f"\nBase: {old.revision}, {old.commit[:10]}")
        theirs = _base(place, old, tell)
        data, fault = _data(place, theirs.run, root, mine.run) if mine.read and theirs.read else (None, "")
        made = compared(root, theirs, mine, _method(root), data)
        return replace(made, faults=(*made.faults, Fault("head", "data", fault))) if fault else made


def _head(root: Path, side: Side, tell: Callable[[str], None]) -> Made:
    """The checkout brought up to date in place, as ``make repro`` does it."""
    from auscult.core import params as parameters
    from auscult.curation.additions import make_ready

    tell(f"Head: {side.revision}, {side.commit[:10]}{' with uncommitted changes' if side.dirty else ''}")
    before, run = (revision.at_hand if side.dirty else revision.committed)(root), Run()
    try:
        params = parameters.load(root / parameters.FILE)
        repro.check_names(params)
        make_ready()
        with repro.restoring(params.dataset):
            run = reproduce_all(root, tell)
        if not run.fault and all(work.did not in ("failed", "not reached") for work in run.stages.values()):
            lockfile.keep(params.dataset)
    except AuscultError as error:
        return Made(replace(side, fault=_words(error, root)), run)
    return _read(root, side, run, before)


def _base(place: Path, side: Side, tell: Callable[[str], None]) -> Made:
    """The base made in its worktree: from the cache or the remote where its outputs are there, else computed."""
    before, run = revision.committed(place), Run()
    try:
        worktree.fill(place)
        run = reproduce_all(place, tell, _NEEDED)
    except AuscultError as error:
        return Made(replace(side, fault=_words(error, place)), run)
    return _read(place, side, run, before)


def _read(place: Path, side: Side, run: Run, before: revision.Committed) -> Made:
    if run.fault:
        return Made(replace(side, fault=run.fault[:600]), run)
    try:
        return Made(side, run, revision.read(place, run, before))
    except AuscultError as error:
        return Made(replace(side, fault=_words(error, place)), run)


def _words(error: AuscultError, place: Path) -> str:
    """What went wrong, in one line; not where on this machine."""
    return " ".join(below(place, error.what).split())[:600]


def _method(root: Path) -> Method:
    """How it is compared: as the checkout's ``params.yaml`` says; where that is broken there is nothing to compare."""
    from auscult import settings

    try:
        _, chosen = settings.load(root)
    except AuscultError:
        return VALUES_ALONE
    how = chosen.compare
    return Method(how.confidence, how.resamples, how.seed, how.min_patients)


def _data(place: Path, base: Run, root: Path, head: Run) -> tuple[Data | None, str]:
    """How the data differ, as counts without anybody's name, or why that is not known."""
    from auscult.curation.diff.difference import difference
    from auscult.curation.diff.formats import summary
    from auscult.curation.diff.version import at_folder

    if why := next(filter(None, (run.why_missing(name) for run in (head, base) for name in ("validate", "split"))), ""):
        return None, f"how the data differ is not known: {why}"[:600]
    try:
        found = summary(difference(at_folder(place), at_folder(root)))
    except (AuscultError, OSError, ValueError, KeyError) as error:
        why = error.what if isinstance(error, AuscultError) else str(error)
        return None, f"how the data differ is not known: {below(root, below(place, why))}"[:600]
    counts = [document.Count(each["name"][:200], each["before"], each["after"]) for each in found["counts"]]
    return Data(found["before"][:120], found["after"][:120], bool(found["changed"]), tuple(counts[:200])), ""


def _write(root: Path, made: Comparison) -> None:
    from auscult.comparison.page import write_page

    document.write(root / FOLDER / document.JSON, made)
    write_text(root / FOLDER / document.MARKDOWN, markdown.render(made))
    write_page(root / FOLDER / document.PAGE, made)


def sentence(made: Comparison) -> str:
    """What is printed at the end."""
    return f"\n{verdict(made).line()}\n\nComparison: {FOLDER / document.PAGE} and {FOLDER / document.MARKDOWN}"
