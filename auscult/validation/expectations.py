"""Great Expectations over the manifest: what must hold for every accepted row.

The row checks before this set single recordings aside; an expectation that fails
here means that the data set as a whole is not what its file says, and stops the stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auscult.audio.checks import CHANNELS, RATES_HZ
from auscult.core.sections import ValidateParams
from auscult.core.tasks import Task
from auscult.datasets import Dataset

if TYPE_CHECKING:
    import pandas as pd

#: Column that names a row in a failure.
ROW_NAMES = {"recordings": "recording_id", "segments": "segment_id"}


@dataclass(frozen=True)
class Outcome:
    """One expectation on one table.

    Attributes
    ----------
    table
        ``recordings`` or ``segments``.
    expectation
        In words.
    passed
        Whether it holds for every row.
    failing
        Names of the rows for which it does not.
    """

    table: str
    expectation: str
    passed: bool
    failing: tuple[str, ...] = ()


def checked_recordings(recordings: pd.DataFrame) -> pd.DataFrame:
    """Recordings with what is known of their patient, so that contradictions show as values."""
    table = recordings.copy()
    by_patient = table.groupby("patient_id")
    table["sexes_of_patient"] = by_patient["sex"].transform("nunique")
    return table


def checked_segments(segments: pd.DataFrame, recordings: pd.DataFrame) -> pd.DataFrame:
    """Segments beside their recording's duration and patient (missing where there is no such recording)."""
    about = recordings[["recording_id", "duration_s", "patient_id"]]
    about = about.rename(columns={"duration_s": "recording_duration_s", "patient_id": "recording_patient_id"})
    return segments.merge(about, on="recording_id", how="left", validate="many_to_one")


def suites(dataset: Dataset, params: ValidateParams) -> dict[str, list[tuple[str, Any]]]:
    """The expectations of each table, each with its words.

    Parameters
    ----------
    dataset
        Gives the labels.
    params
        Gives the shortest and the longest duration.
    """
    import great_expectations.expectations as gxe

    recordings: list[tuple[str, Any]] = [
        ("recording_id is unique", gxe.ExpectColumnValuesToBeUnique(column="recording_id")),
        ("path is unique", gxe.ExpectColumnValuesToBeUnique(column="path")),
        ("path is relative", gxe.ExpectColumnValuesToNotMatchRegex(column="path", regex=r"^/|\\|(?:^|/)\.\.(?:/|$)")),
        ("audio is unique", gxe.ExpectColumnValuesToBeUnique(column="audio_sha256")),
        ("sha256 is a checksum", gxe.ExpectColumnValuesToMatchRegex(column="sha256", regex="^[0-9a-f]{64}$")),
        ("patient_id is not empty", gxe.ExpectColumnValuesToMatchRegex(column="patient_id", regex=r"\S")),
        (f"sample_rate_hz from {RATES_HZ[0]} to {RATES_HZ[1]}", _between(gxe, "sample_rate_hz", *RATES_HZ)),
        (f"channels from {CHANNELS[0]} to {CHANNELS[1]}", _between(gxe, "channels", *CHANNELS)),
        (
            f"duration_s from {params.min_duration_s:g} to {params.max_duration_s:g}",
            _between(gxe, "duration_s", params.min_duration_s, params.max_duration_s),
        ),
        ("age_years from 0 to 120", _between(gxe, "age_years", 0, 120)),
        ("sex is female or male", _in_set(gxe, "sex", ["female", "male"])),
        ("one sex per patient", _between(gxe, "sexes_of_patient", 0, 1)),
        ("label is one of the data set's", _in_set(gxe, "label", sorted(dataset.recording_labels))),
        ("published_part is train or test", _in_set(gxe, "published_part", ["train", "test"])),
    ]
    recordings += [(f"{c} is given", _given(gxe, c)) for c in ("recording_id", "patient_id", "path", "duration_s")]
    greater = gxe.ExpectColumnPairValuesAToBeGreaterThanB
    segments: list[tuple[str, Any]] = [
        ("segment_id is unique", gxe.ExpectColumnValuesToBeUnique(column="segment_id")),
        (
            "segment_id is recording_id:NNN",
            gxe.ExpectColumnValuesToMatchRegex(column="segment_id", regex=r"^.+:\d{3,}$"),
        ),
        ("start_s is not negative", _between(gxe, "start_s", 0, None)),
        ("end_s after start_s", greater(column_A="end_s", column_B="start_s")),
        (
            "end_s at most the recording's duration",
            greater(column_A="recording_duration_s", column_B="end_s", or_equal=True),
        ),
        (
            "patient_id is the recording's",
            gxe.ExpectColumnPairValuesToBeEqual(column_A="patient_id", column_B="recording_patient_id"),
        ),
        ("label is one of the data set's", _in_set(gxe, "label", sorted(dataset.segment_labels))),
    ]
    segments += [(f"{c} is given", _given(gxe, c)) for c in ("label", "start_s", "end_s", "recording_duration_s")]
    return {"recordings": recordings, "segments": segments}


def check_tables(
    recordings: pd.DataFrame, segments: pd.DataFrame, dataset: Dataset, params: ValidateParams
) -> list[Outcome]:
    """Run both suites in an ephemeral context: nothing is written, nothing is sent."""
    context = ephemeral_context()
    tables = {"recordings": checked_recordings(recordings), "segments": checked_segments(segments, recordings)}
    outcomes: list[Outcome] = []
    for name, expectations in suites(dataset, params).items():
        outcomes += run_suite(context, name, tables[name], expectations)
    return outcomes


def ephemeral_context() -> Any:
    """A context in memory, without progress bars."""
    import logging

    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def definition(context: Any, name: str, expectations: Sequence[tuple[str, Any]]) -> Any:
    """The validation definition of one table: a data frame asset and its suite."""
    import great_expectations

    for words, expectation in expectations:
        expectation.meta = {"words": words}
    suite = great_expectations.ExpectationSuite(name=name, expectations=[entry for _, entry in expectations])
    batch = (
        context.data_sources.add_pandas(name).add_dataframe_asset(name).add_batch_definition_whole_dataframe("all rows")
    )
    context.suites.add(suite)
    return context.validation_definitions.add(
        great_expectations.ValidationDefinition(name=name, data=batch, suite=suite)
    )


def run_suite(context: Any, name: str, table: pd.DataFrame, expectations: Sequence[tuple[str, Any]]) -> list[Outcome]:
    """Outcomes in the order of the expectations; failing rows by name."""
    column = ROW_NAMES[name]
    if table.empty:  # nothing to contradict; some expectations stumble over typeless columns
        return [Outcome(name, words, True) for words, _ in expectations]
    result = definition(context, name, expectations).run(
        batch_parameters={"dataframe": table},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [column]},
    )
    by_words = {entry.expectation_config.meta["words"]: entry for entry in result.results}
    outcomes = []
    for words, _ in expectations:
        entry = by_words[words]
        rows = entry.result.get("unexpected_index_list") or []
        failing = tuple(dict.fromkeys(str(row[column]) for row in rows))
        trouble = _trouble(entry.exception_info)
        outcomes.append(Outcome(name, f"{words} ({trouble})" if trouble else words, bool(entry.success), failing))
    return outcomes


def _trouble(exception_info: Any) -> str:
    """Why an expectation could not be computed; empty when it could."""
    if not exception_info:
        return ""
    entries = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    return "; ".join(str(entry["exception_message"]) for entry in entries if entry.get("raised_exception"))


def _between(gxe: Any, column: str, low: float | None, high: float | None) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)


def _in_set(gxe: Any, column: str, values: list[str]) -> Any:
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=values)


def _given(gxe: Any, column: str) -> Any:
    return gxe.ExpectColumnValuesToNotBeNull(column=column)


def tasks_json(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """What ``tasks.json`` holds."""
    return [task.to_json() for task in tasks]
