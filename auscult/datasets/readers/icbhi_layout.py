"""ICBHI's layout: file names, annotation files, tables and tasks.

A data set in this layout is a subclass of :class:`IcbhiLayout`. The raw folder has the names of the publisher::

    ICBHI_final_database/<patient>_<index>_<location>_<mode>_<device>.{wav,txt}
    ICBHI_Challenge_diagnosis.txt                patient, diagnosis
    ICBHI_Challenge_demographic_information.txt  patient, age (years), sex, BMI, weight, height
    ICBHI_challenge_train_test.txt               recording, train or test
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from auscult.core.errors import LayoutError
from auscult.core.records import Recording, Segment
from auscult.core.tasks import Task
from auscult.datasets import Dataset
from auscult.datasets.readers.copies import audio_by_stem, files_below, gather, is_audio, prefer_wav, same_bytes
from auscult.datasets.readers.icbhi_tables import (
    SOUNDS,
    Demographics,
    PublishedPart,
    first_field,
    read_cycles,
    read_demographics,
    read_diagnoses,
    read_split,
)

AUDIO_FOLDER = "ICBHI_final_database"
DIAGNOSIS = "ICBHI_Challenge_diagnosis.txt"
DEMOGRAPHICS = "ICBHI_Challenge_demographic_information.txt"
SPLIT = "ICBHI_challenge_train_test.txt"

#: Name of a table in a copy (lower case) → name of the publisher.
TABLE_NAMES: dict[str, str] = {
    DIAGNOSIS.lower(): DIAGNOSIS,
    "patient_diagnosis.csv": DIAGNOSIS,
    "patient_diagnosis.txt": DIAGNOSIS,
    DEMOGRAPHICS.lower(): DEMOGRAPHICS,
    "demographic_info.txt": DEMOGRAPHICS,
    SPLIT.lower(): SPLIT,
}

#: Table → function that reads it.
_READERS: dict[str, Callable[[Path], Mapping[str, object]]] = {
    DIAGNOSIS: read_diagnoses,
    DEMOGRAPHICS: read_demographics,
    SPLIT: read_split,
}

#: patient_index_location_mode_device, such as 101_1b1_Al_sc_Meditron
_NAME = re.compile(r"(?P<patient>\d+)_(?P<index>[^_]+)_(?P<location>[^_]+)_(?P<mode>sc|mc)_(?P<device>[^_]+)")

CHRONIC = ("COPD", "Asthma", "Bronchiectasis")
INFECTIOUS = ("URTI", "LRTI", "Pneumonia", "Bronchiolitis")
DIAGNOSES = ("Healthy", *CHRONIC, *INFECTIOUS)

ICBHI_TASKS: tuple[Task, ...] = (
    Task(
        name="binary",
        unit="recording",
        classes=("healthy", "diseased"),
        normal="healthy",
        mapping={name: "healthy" if name == "Healthy" else "diseased" for name in DIAGNOSES},
        title="healthy or diseased, by recording",
    ),
    Task(
        name="multiclass",
        unit="recording",
        classes=("healthy", "chronic", "infectious"),
        normal="healthy",
        mapping={"Healthy": "healthy"} | dict.fromkeys(CHRONIC, "chronic") | dict.fromkeys(INFECTIOUS, "infectious"),
        title="healthy, chronic or infectious, by recording",
    ),
    Task(
        name="abnormal",
        unit="segment",
        classes=("normal", "abnormal"),
        normal="normal",
        mapping={"normal": "normal", "crackle": "abnormal", "wheeze": "abnormal", "both": "abnormal"},
        title="normal or abnormal breathing cycle",
    ),
    Task(
        name="sounds",
        unit="segment",
        classes=("normal", "crackle", "wheeze", "both"),
        normal="normal",
        mapping={name: name for name in ("normal", "crackle", "wheeze", "both")},
        title="normal, crackle, wheeze or both in a breathing cycle",
    ),
)


class IcbhiLayout(Dataset):
    """A data set in ICBHI's layout."""

    tasks: ClassVar[tuple[Task, ...]] = ICBHI_TASKS
    segment_labels: ClassVar[frozenset[str]] = frozenset(SOUNDS.values())
    recording_labels: ClassVar[frozenset[str]] = frozenset(DIAGNOSES)
    needed_columns: ClassVar[tuple[str, ...]] = ("label", "device", "location")
    #: Wrong name in the split file → recording that it means.
    split_names: ClassVar[Mapping[str, str]] = {}
    #: Patient → reason why the test recordings are excluded from the pooled test part.
    exempt_test_patients: ClassVar[Mapping[str, str]] = {}

    def layout(self, source: Path) -> dict[str, Path]:
        """Return the files of a copy in the publisher's layout."""
        found = prefer_wav(gather(_claims(source), source, _same))
        if not any(target.startswith(f"{AUDIO_FOLDER}/") for target in found):
            raise LayoutError(
                f"this is no copy of {self.title}: no recording such as 101_1b1_Al_sc_Meditron.wav or .flac in it",
                where=str(source),
                next_step="give as the source the folder or zip file with ICBHI_final_database/ or"
                f" audio_and_txt_files/; the publisher: {self.homepage}",
            )
        if DIAGNOSIS not in found:
            raise LayoutError(
                f"this copy of {self.title} lacks the diagnoses: {DIAGNOSIS} or patient_diagnosis.csv",
                where=str(source),
                next_step=f"get {DIAGNOSIS} from {self.homepage}, put it into one folder with the recordings (or"
                " their zip file), and give that folder as the source",
            )
        return found

    def recordings(self, raw: Path) -> list[Recording]:
        """Return every recording with an audio file or an annotation file."""
        audio = audio_by_stem(raw / AUDIO_FOLDER)
        annotated = {path.stem for path in (raw / AUDIO_FOLDER).glob("*.txt") if _NAME.fullmatch(path.stem)}
        diagnoses = read_diagnoses(raw / DIAGNOSIS)
        demographics = read_demographics(raw / DEMOGRAPHICS)
        parts = {self.split_names.get(name, name): part for name, part in read_split(raw / SPLIT).items()}
        result = []
        for name in sorted(audio.keys() | annotated):
            path = f"{AUDIO_FOLDER}/{audio[name].name}" if name in audio else ""
            result.append(self._recording(name, path, diagnoses, demographics, parts.get(name)))
        return result

    def _recording(
        self,
        name: str,
        path: str,
        diagnoses: Mapping[str, str],
        demographics: Mapping[str, Demographics],
        part: PublishedPart | None,
    ) -> Recording:
        match = _NAME.fullmatch(name)
        if match is None:
            return Recording(recording_id=name, patient_id="", path=path, missing=("patient", "location", "device"))
        patient = match["patient"]
        required = [
            ("diagnosis", patient not in diagnoses),
            ("demographics", bool(demographics) and patient not in demographics),
        ]
        age_years, sex = demographics.get(patient, (None, None))
        return Recording(
            recording_id=name,
            patient_id=patient,
            path=path,
            device=match["device"],
            location=match["location"],
            age_years=age_years,
            sex=sex,
            label=diagnoses.get(patient),
            published_part=part,
            exempt_reason=self.exempt_test_patients.get(patient) if part == "test" else None,
            missing=tuple(what for what, absent in required if absent),
        )

    def segments(self, raw: Path, recording: Recording) -> Sequence[Segment]:
        """Return the breathing cycles of a recording."""
        return read_cycles(raw / AUDIO_FOLDER / f"{recording.recording_id}.txt")

    def patient_of(self, name: str) -> str | None:
        """Return the number at the start of a recording's name."""
        match = _NAME.fullmatch(PurePosixPath(name).stem)
        return match["patient"] if match is not None else None

    def is_table(self, place: str) -> bool:
        """Return True for diagnoses, demographics and the official split."""
        return place in _READERS

    def patient_of_line(self, place: str, line: str) -> str | None:
        """Return the number in the first column; in the split file, that of the recording."""
        first = first_field(line)
        return self.patient_of(first) if place == SPLIT else first if first.isdigit() else None


def _claims(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the raw folder, file) for the files of the layout in *source*."""
    for path in files_below(source):
        if path.name.lower() in TABLE_NAMES:
            yield TABLE_NAMES[path.name.lower()], path
        elif _NAME.fullmatch(path.stem) and (is_audio(path.name) or path.suffix.lower() == ".txt"):
            yield f"{AUDIO_FOLDER}/{path.stem}{path.suffix.lower()}", path


def _same(target: str, one: Path, other: Path) -> bool:
    """Return whether two files are equal; tables are compared by content, not by format."""
    read = _READERS.get(target)
    return same_bytes(target, one, other) or (read is not None and read(one) == read(other))
