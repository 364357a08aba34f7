"""Conditions that a data set must meet: the share of rejected recordings, and Great Expectations on the manifest.

The checks of single recordings come first and reject recordings one by one. A violation here
means that the data set as a whole is not what its file says, and stops the stage.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auscult.audio.reader import CHANNELS, RATES_HZ
from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR, Paths
from auscult.core.reject_reasons import ABSENT, REASONS
from auscult.core.sections import ValidateParams
from auscult.core.storage import write_text
from auscult.datasets import Dataset
from auscult.validation.manifest import Tables

if TYPE_CHECKING:
    import pandas as pd

# Great Expectations takes three seconds to import. The functions that run it import it, so that
# a data set that is rejected before, and the commands that only read a manifest, need not wait.

logger = logging.getLogger(__name__)

#: Column that identifies a row in messages.
ROW_NAMES = {"recordings": "recording_id", "segments": "segment_id"}
#: Most rows that a message lists.
_SHOWN = 20
#: Reject reasons that a limit in params.yaml decides, and how to relax it.
_LIMITS = {
    "too_short": ("lower", "min_duration_s"),
    "too_long": ("raise", "max_duration_s"),
    "silent": ("lower", "silence_dbfs"),
    "clipped": ("raise", "max_clipped_share"),
}
#: Reject reasons that lie in the publisher's labels and tables, not in the audio.
_LABELS = {name for name in REASONS if name.startswith("annotation_")} | {"missing_metadata", "unknown_label"}


@dataclass(frozen=True)
class Outcome:
    """Result of one expectation on one table.

    Attributes
    ----------
    table
        ``recordings`` or ``segments``.
    expectation
        Description; includes the error if it could not be computed.
    passed
        Whether it holds for every row.
    failing
        Ids of the rows for which it does not hold.
    """

    table: str
    expectation: str
    passed: bool
    failing: tuple[str, ...] = ()


def check_rejects(tables: Tables, dataset: Dataset, paths: Paths, params: ValidateParams) -> None:
    """Raise if no recording is accepted, or more are rejected than ``max_reject_share``.

    Recordings without an audio file mean an incomplete copy; they do not enter the share.

    Raises
    ------
    DataError
        The message lists the first rejects and the file that lists all of them.
    """
    rejects = tables.rejects
    accepted = len(tables.recordings)
    counts = rejects["reason"].value_counts(sort=False).sort_index()
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    shown = f": {reasons}" if reasons else ""
    logger.info("validate: %d recordings accepted, %d rejected%s", accepted, rejects["recording_id"].nunique(), shown)
    if tables.batches:
        added = int(tables.recordings["batch"].notna().sum())
        logger.info("validate: %d of them came with additions (%d)", added, tables.batches)
    if not accepted:
        raise DataError(
            f"no recording left: {reasons or 'the data set lists none'}\n{_rows(rejects)}",
            where=f"{paths.raw}{_full_list(rejects, paths)}",
            next_step=_remedy(rejects, dataset, params),
        )
    absent = set(rejects.loc[rejects["reason"] == ABSENT, "recording_id"])
    broken = rejects[~rejects["recording_id"].isin(absent)]
    count = int(broken["recording_id"].nunique())
    share = count / (count + accepted)
    if share > params.max_reject_share:
        raise DataError(
            f"{count} of {count + accepted} recordings are rejected ({share:.1%}),"
            f" validate.max_reject_share allows {params.max_reject_share:.1%}\n{_rows(broken)}",
            where=f"{paths.raw}{_full_list(rejects, paths)}",
            next_step="repair or replace these recordings, or raise validate.max_reject_share in params.yaml",
        )


def _remedy(rejects: pd.DataFrame, dataset: Dataset, params: ValidateParams) -> str:
    """Return the next step when no recording is left, for the most frequent reason."""
    counts = rejects.groupby("reason")["recording_id"].nunique()
    # On a tie missing audio comes first: no limit and no table helps a recording without a file.
    reason = max([ABSENT, *REASONS], key=lambda name: int(counts.get(name, 0)))
    if reason in _LIMITS:
        verb, limit = _LIMITS[reason]
        return f"{verb} validate.{limit} in params.yaml (it is {getattr(params, limit):g}), then the same command again"
    if dataset.generated:
        return "generate the data set again: dvc repro --force --single-item download, then the same command again"
    command = f"auscult run --dataset {dataset.name} --source <folder, zip or URL>"
    if reason in _LABELS:
        code = f"auscult/datasets/{dataset.name}.py"
        return f"use a copy that holds the publisher's tables too: {command}, or fix {code} if it misreads them"
    return f"use a copy that holds the audio: {command}"


def _rows(rejects: pd.DataFrame) -> str:
    rows = [f"  {r.recording_id}: {r.reason}, {r.detail}" for r in rejects.head(_SHOWN).itertuples()]
    if len(rejects) > _SHOWN:
        rows.append(f"  … and {len(rejects) - _SHOWN} more")
    return "\n".join(rows)


def _full_list(rejects: pd.DataFrame, paths: Paths) -> str:
    """List all rejects in the cache, as the outputs stay those of the last good run; return where, for messages."""
    if len(rejects) <= _SHOWN:
        return ""
    target = CACHE_DIR / f"rejects-{paths.dataset}.csv"
    write_text(target, rejects.to_csv(index=False, lineterminator="\n"))
    return f" (all of them: {target})"


def check_expectations(tables: Tables, dataset: Dataset, paths: Paths, params: ValidateParams) -> list[Outcome]:
    """Run all expectations and return their outcomes.

    Raises
    ------
    DataError
        An expectation fails; the message lists every failed one with its rows.
    """
    outcomes = check_tables(tables.recordings, tables.segments, dataset, params)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        lines = []
        for outcome in failed:
            names = ", ".join(outcome.failing[:_SHOWN]) or "the table as a whole"
            more = f" and {len(outcome.failing) - _SHOWN} more" if len(outcome.failing) > _SHOWN else ""
            lines.append(f"  {outcome.table}: {outcome.expectation}. Fails for: {names}{more}")
        raise DataError(
            f"{len(failed)} of {len(outcomes)} expectations fail\n" + "\n".join(lines),
            where=str(paths.raw),
            next_step=f"correct the rows in the data set's tables, or auscult/datasets/{paths.dataset}.py"
            " if it misreads them",
        )
    logger.info("validate: %d expectations hold", len(outcomes))
    return outcomes


def check_tables(
    recordings: pd.DataFrame, segments: pd.DataFrame, dataset: Dataset, params: ValidateParams
) -> list[Outcome]:
    """Run all expectations in an ephemeral context, which writes and sends nothing; failing rows are listed by id."""
    context = ephemeral_context()
    outcomes: list[Outcome] = []
    tables = tables_to_check(recordings, segments)
    for name, expectations in suites(dataset, params).items():
        if tables[name].empty:  # nothing can fail; some expectations raise on columns without a type
            outcomes += [Outcome(name, description, True) for description, _ in expectations]
            continue
        column = ROW_NAMES[name]
        result = definition(context, name, expectations).run(
            batch_parameters={"dataframe": tables[name]},
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [column]},
        )
        by_description = {entry.expectation_config.meta["description"]: entry for entry in result.results}
        for description, _ in expectations:
            entry = by_description[description]
            rows = entry.result.get("unexpected_index_list") or []
            failing = tuple(dict.fromkeys(str(row[column]) for row in rows))
            error = _error(entry.exception_info)
            outcomes.append(Outcome(name, description + (f" ({error})" if error else ""), bool(entry.success), failing))
    return outcomes


def _error(exception_info: Any) -> str:
    """Return why an expectation could not be computed; empty if it could."""
    if not exception_info:
        return ""
    entries = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    return "; ".join(str(entry["exception_message"]) for entry in entries if entry.get("raised_exception"))


def tables_to_check(recordings: pd.DataFrame, segments: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return both tables with the columns that an expectation needs of another row or table.

    Recordings get the number of sexes of their patient, segments the duration and the patient of their
    recording (NA if there is no such recording).
    """
    sexes = recordings.groupby("patient_id")["sex"].transform("nunique")
    about = recordings[["recording_id", "duration_s", "patient_id"]]
    about = about.rename(columns={"duration_s": "recording_duration_s", "patient_id": "recording_patient_id"})
    return {
        "recordings": recordings.assign(sexes_of_patient=sexes),
        "segments": segments.merge(about, on="recording_id", how="left", validate="many_to_one"),
    }


def suites(dataset: Dataset, params: ValidateParams) -> dict[str, list[tuple[str, Any]]]:
    """Return table → (description, expectation) of everything that must hold for accepted rows."""
    import great_expectations.expectations as gxe

    def between(column: str, low: float | None, high: float | None) -> Any:
        return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)

    def in_set(column: str, values: list[str]) -> Any:
        return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=values)

    def given(*columns: str) -> list[tuple[str, Any]]:
        return [(f"{column} is given", gxe.ExpectColumnValuesToNotBeNull(column=column)) for column in columns]

    unique, matches = gxe.ExpectColumnValuesToBeUnique, gxe.ExpectColumnValuesToMatchRegex
    greater = gxe.ExpectColumnPairValuesAToBeGreaterThanB
    shortest, longest = params.min_duration_s, params.max_duration_s
    recordings: list[tuple[str, Any]] = [
        ("recording_id is unique", unique(column="recording_id")),
        ("path is unique", unique(column="path")),
        ("path is relative", gxe.ExpectColumnValuesToNotMatchRegex(column="path", regex=r"^/|\\|(?:^|/)\.\.(?:/|$)")),
        ("audio is unique", unique(column="audio_sha256")),
        ("sha256 is a checksum", matches(column="sha256", regex="^[0-9a-f]{64}$")),
        ("patient_id is not empty", matches(column="patient_id", regex=r"\S")),
        (f"sample_rate_hz from {RATES_HZ[0]} to {RATES_HZ[1]}", between("sample_rate_hz", *RATES_HZ)),
        (f"channels from {CHANNELS[0]} to {CHANNELS[1]}", between("channels", *CHANNELS)),
        (f"duration_s from {shortest:g} to {longest:g}", between("duration_s", shortest, longest)),
        ("age_years from 0 to 120", between("age_years", 0, 120)),
        ("sequence is not negative", between("sequence", 0, None)),
        ("sex is female or male", in_set("sex", ["female", "male"])),
        ("one sex per patient", between("sexes_of_patient", 0, 1)),
        ("label is one of the data set's", in_set("label", sorted(dataset.recording_labels))),
        ("published_part is train or test", in_set("published_part", ["train", "test"])),
        *given("recording_id", "patient_id", "path", "duration_s"),
    ]
    segments: list[tuple[str, Any]] = [
        ("segment_id is unique", unique(column="segment_id")),
        ("segment_id is recording_id:NNN", matches(column="segment_id", regex=r"^.+:\d{3,}$")),
        ("start_s is not negative", between("start_s", 0, None)),
        ("end_s after start_s", greater(column_A="end_s", column_B="start_s")),
        (
            "end_s at most the recording's duration",
            greater(column_A="recording_duration_s", column_B="end_s", or_equal=True),
        ),
        (
            "patient_id is the recording's",
            gxe.ExpectColumnPairValuesToBeEqual(column_A="patient_id", column_B="recording_patient_id"),
        ),
        ("label is one of the data set's", in_set("label", sorted(dataset.segment_labels))),
        *given("label", "start_s", "end_s", "recording_duration_s"),
    ]
    return {"recordings": recordings, "segments": segments}


def ephemeral_context() -> Any:
    """Return a Great Expectations context in memory, without progress bars."""
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def definition(context: Any, name: str, expectations: Sequence[tuple[str, Any]]) -> Any:
    """Add one table's suite to a context and return its validation definition, to be run on a data frame."""
    import great_expectations

    for description, expectation in expectations:
        expectation.meta = {"description": description}
    suite = great_expectations.ExpectationSuite(name=name, expectations=[entry for _, entry in expectations])
    batch = (
        context.data_sources.add_pandas(name).add_dataframe_asset(name).add_batch_definition_whole_dataframe("all rows")
    )
    context.suites.add(suite)
    return context.validation_definitions.add(
        great_expectations.ValidationDefinition(name=name, data=batch, suite=suite)
    )
