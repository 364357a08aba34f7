"""What a data set holds when a delivery comes: its manifest, and additions that the manifest does not know yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.checks import inspect
from auscult.core import withdrawals
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.process import workers
from auscult.core.sections import ValidateParams
from auscult.core.storage import read_table
from auscult.datasets import Dataset
from auscult.validation.additions import batches, check_unchanged
from auscult.validation.manifest import Examined, Present, build, examine_all, origin

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PresentData:
    """The accepted recordings that a data set has.

    Attributes
    ----------
    folder
        Of the manifest.
    recordings, segments, fingerprints
        As in the manifest, with those of additions that came since.
    index
        Names and audio, for the rule that what is present is kept.
    """

    folder: Path
    recordings: pd.DataFrame
    segments: pd.DataFrame
    fingerprints: pd.DataFrame
    index: Present

    def has(self, item: Examined) -> bool:
        """Whether this very recording is there: the name with the audio."""
        row = self._row(item)
        return item.audio is not None and not row.empty and row["audio_sha256"].iloc[0] == item.audio.audio_sha256

    def other_labels(self, item: Examined) -> str:
        """How the labels of a recording that is there differ from those delivered now; empty where they agree."""
        label = self._row(item)["label"].iloc[0]
        label = label if isinstance(label, str) else None
        if label != item.recording.label:
            return f"it is there with the label {label!r} instead of {item.recording.label!r}"
        rows = self.segments[self.segments["recording_id"] == item.recording.recording_id]
        times = zip(rows["start_s"].round(6), rows["end_s"].round(6), rows["label"], strict=True)
        if list(times) != [(round(s.start_s, 6), round(s.end_s, 6), s.label) for s in item.segments]:
            return f"it is there with other segments ({len(rows)}; delivered are {len(item.segments)})"
        return ""

    def _row(self, item: Examined) -> pd.DataFrame:
        return self.recordings[self.recordings["recording_id"] == item.recording.recording_id]


def read_present(dataset: Dataset, root: Path, params: ValidateParams) -> PresentData:
    """Read the manifest; additions that came after it are examined here.

    Raises
    ------
    DataError
        There is no manifest, it is of another state of the additions, or an addition is missing.
    """
    import pandas as pd

    paths = Paths(dataset.name)
    folder = root / paths.manifest
    if not (folder / "recordings.parquet").exists():
        raise _without_manifest(f"the manifest of {dataset.name} is not there", folder)
    recordings, segments, rejects, fingerprints = (
        read_table(folder / f"{name}.parquet") for name in ("recordings", "segments", "rejects", "fingerprints")
    )
    if "batch" not in recordings:
        raise _without_manifest(f"the manifest of {dataset.name} was made by an older version", folder)
    added = {batch.name: batch for batch in batches(root / paths.added)}
    known = set(recordings["batch"].dropna())
    if gone := sorted(known - added.keys()):
        raise _without_manifest(f"the manifest of {dataset.name} holds the addition {gone[0]}, which is gone", folder)
    index = Present(
        ids={
            name: origin(batch if isinstance(batch, str) else None)
            for name, batch in zip(recordings["recording_id"], recordings["batch"], strict=True)
        },
        audio=dict(zip(recordings["audio_sha256"], recordings["recording_id"], strict=True)),
    )
    for name in rejects["recording_id"]:
        index.ids.setdefault(name, "what was set aside")
    copies = set(rejects.loc[rejects["reason"] == "duplicate_audio", "recording_id"])
    for recording in dataset.recordings(root / paths.raw) if copies else ():  # nobody knows whose one more would be
        if recording.recording_id in copies and (audio := inspect(root / paths.raw / recording.path, params)[0]):
            index.audio.setdefault(audio.audio_sha256, recording.recording_id)
    since: list[Examined] = []
    withdrawn = withdrawals.read(dataset.name, root)
    for name in sorted(added.keys() - known):
        check_unchanged(added[name])
        new_here = examine_all(dataset, added[name], params, workers(), batch=name, withdrawn=withdrawn)
        found = [index.check(item) for item in new_here]
        index.add(found)
        since += found
    new = build(since)
    return PresentData(
        folder,
        pd.concat([recordings, new.recordings], ignore_index=True) if since else recordings,
        pd.concat([segments, new.segments], ignore_index=True) if since else segments,
        pd.concat([fingerprints, new.fingerprints], ignore_index=True) if since else fingerprints,
        index,
    )


def _without_manifest(what: str, folder: Path) -> DataError:
    return DataError(what, where=str(folder), next_step="dvc repro validate (or make repro), then add the delivery")
