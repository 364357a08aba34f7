"""When validation stops the pipeline: nothing left, too much set aside, an expectation that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR, Paths
from auscult.core.reject_reasons import ABSENT, REASONS
from auscult.core.sections import ValidateParams
from auscult.core.storage import write_text
from auscult.datasets import Dataset
from auscult.validation.expectations import Outcome
from auscult.validation.manifest import Tables

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20
#: Reasons that a limit in params.yaml gives, and what to do to the limit.
_LIMITS = {
    "too_short": ("lower", "min_duration_s"),
    "too_long": ("raise", "max_duration_s"),
    "silent": ("lower", "silence_dbfs"),
    "clipped": ("raise", "max_clipped_share"),
}
#: Reasons that lie in what the publisher says of the audio.
_LABELS = {name for name in REASONS if name.startswith("annotation_")} | {"missing_metadata", "unknown_label"}


def check_rejects(tables: Tables, dataset: Dataset, paths: Paths, params: ValidateParams) -> None:
    """Stop when no recording is left, or when more are broken than ``max_reject_share``.

    Recordings without an audio file are an incomplete copy and count on neither side of the share.

    Raises
    ------
    DataError
        Naming the first rows and the file that lists all of them.
    """
    rejects = tables.rejects
    accepted = len(tables.recordings)
    if not accepted:
        raise DataError(
            f"no recording left: {_why(rejects)}\n{_rows(rejects)}",
            where=f"{paths.raw}{_listed(rejects, paths)}",
            next_step=_remedy(rejects, dataset, params),
        )
    absent = set(rejects.loc[rejects["reason"] == ABSENT, "recording_id"])
    broken = rejects[~rejects["recording_id"].isin(absent)]
    count = int(broken["recording_id"].nunique())
    share = count / (count + accepted)
    if share > params.max_reject_share:
        raise DataError(
            f"{count} of {count + accepted} recordings would be set aside ({share:.1%}),"
            f" validate.max_reject_share allows {params.max_reject_share:.1%}\n{_rows(broken)}",
            where=f"{paths.raw}{_listed(rejects, paths)}",
            next_step="mend or replace these recordings, or raise validate.max_reject_share in params.yaml",
        )


def check_outcomes(outcomes: Sequence[Outcome], paths: Paths) -> None:
    """Stop when an expectation fails.

    Raises
    ------
    DataError
        Naming each failed expectation with its rows.
    """
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if not failed:
        return
    lines = []
    for outcome in failed:
        names = ", ".join(outcome.failing[:_SHOWN]) or "the table as a whole"
        more = f" and {len(outcome.failing) - _SHOWN} more" if len(outcome.failing) > _SHOWN else ""
        lines.append(f"  {outcome.table}: {outcome.expectation}. Not so: {names}{more}")
    raise DataError(
        f"{len(failed)} of {len(outcomes)} expectations fail\n" + "\n".join(lines),
        where=str(paths.raw),
        next_step=f"mend the rows in the data set's tables, or auscult/datasets/{paths.dataset}.py"
        " where it reads them wrongly",
    )


def _remedy(rejects: pd.DataFrame, dataset: Dataset, params: ValidateParams) -> str:
    """What leads on when no recording is left: the remedy for the reason that most of them share."""
    counts = rejects.groupby("reason")["recording_id"].nunique()
    # Among equals the missing audio: no limit and no table helps a recording that is not there.
    reason = max([ABSENT, *REASONS], key=lambda name: int(counts.get(name, 0)))
    if reason in _LIMITS:
        verb, limit = _LIMITS[reason]
        return f"{verb} validate.{limit} in params.yaml (it is {getattr(params, limit):g}), then the same command again"
    if dataset.generated:  # takes no SOURCE
        return "make the data set again: dvc repro --force --single-item download, then the same command again"
    command = f"make repro DATASET={dataset.name} SOURCE=<folder, zip or URL>"
    if reason in _LABELS:
        code = f"auscult/datasets/{dataset.name}.py"
        return f"give a copy that holds the publisher's tables too: {command}, or mend {code} if it misreads them"
    return f"give a copy that holds the audio: {command}"


def _why(rejects: pd.DataFrame) -> str:
    counts = rejects["reason"].value_counts(sort=False).sort_index()
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "the data set names none"


def _rows(rejects: pd.DataFrame) -> str:
    rows = [f"  {r.recording_id}: {r.reason}, {r.detail}" for r in rejects.head(_SHOWN).itertuples()]
    if len(rejects) > _SHOWN:
        rows.append(f"  … and {len(rejects) - _SHOWN} more")
    return "\n".join(rows)


def _listed(rejects: pd.DataFrame, paths: Paths) -> str:
    """Write the full list outside the outs, which stay the last good ones."""
    if len(rejects) <= _SHOWN:
        return ""
    target = CACHE_DIR / f"rejects-{paths.dataset}.csv"
    write_text(target, rejects.to_csv(index=False, lineterminator="\n"))
    return f" (all of them: {target})"
