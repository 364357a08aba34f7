"""The sample data set: ICBHI's layout and class shares, reproducible bytes, seven faults, and a full disk."""

from __future__ import annotations

import errno
import hashlib
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.core.errors import AuscultError
from auscult.core.params import load
from auscult.core.records import Recording
from auscult.core.sections import Params, SampleParams
from auscult.core.storage import replacing_folder
from auscult.datasets.sample import DATASET
from auscult.datasets.synthesis.faults import FAULTS, faults
from auscult.datasets.synthesis.files import write_audio
from auscult.datasets.synthesis.population import SOUNDS, TARGET_SHARES, Visit, plan
from auscult.validation.manifest import build, examine_all

ROOT = Path(__file__).parents[2]
PATIENTS, SEED = 12, 2017


def settings(patients: int, seed: int) -> Params:
    params = load(ROOT / "params.yaml")
    sample = SampleParams(patients=patients, seed=seed)
    return params.model_copy(update={"download": params.download.model_copy(update={"sample": sample})})


def make(folder: Path, patients: int, seed: int) -> Path:
    folder.mkdir(parents=True)
    DATASET.make(folder, settings(patients, seed))
    return folder


def expected_rejects(visits: list[Visit]) -> dict[str, str]:
    """Return recording → reason for which ``validate`` must reject it."""
    return {fault.visit.name: fault.reason for fault in faults(visits, SEED)}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUSCULT_WORKERS", "3")
        return make(tmp_path_factory.mktemp("sample") / "raw", PATIENTS, SEED)


@pytest.fixture(scope="module")
def recordings(raw: Path) -> list[Recording]:
    return DATASET.recordings(raw)


def test_the_bytes_do_not_depend_on_the_number_of_workers(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUSCULT_WORKERS", "1")
    assert digests(make(tmp_path / "alone", PATIENTS, SEED)) == digests(raw)


def test_another_seed_gives_other_patients() -> None:
    assert [visit.patient for visit in plan(PATIENTS, 1)] != [visit.patient for visit in plan(PATIENTS, 2)]


def test_names_have_the_format_of_icbhi_and_are_unique(recordings: list[Recording]) -> None:
    names = [recording.recording_id for recording in recordings]
    assert len(set(names)) == len(names)
    pattern = r"\d{3}_\db\d_(Tc|[APL][lr])_(sc|mc)_(AKGC417L|LittC2SE|Litt3200|Meditron)"
    assert [name for name in names if not re.fullmatch(pattern, name)] == []


def test_every_valid_recording_matches_its_plan(raw: Path, recordings: list[Recording]) -> None:
    by_name = {recording.recording_id: recording for recording in recordings}
    for visit in plan(PATIENTS, SEED):
        recording = by_name[visit.name]
        info = soundfile.info(raw / recording.path)
        assert (info.samplerate, info.subtype, info.channels) == (visit.sample_rate_hz, visit.subtype, 1)
        assert info.duration == pytest.approx(visit.duration_s, abs=0.01)
        assert 8.0 <= info.duration <= 20.0
        assert (recording.label, recording.age_years) == (visit.patient.diagnosis, visit.patient.age_years)
        cycles = DATASET.segments(raw, recording)
        assert cycles and cycles[0].start_s >= 0.0 and cycles[-1].end_s <= info.duration
        assert all(before.end_s <= after.start_s for before, after in pairwise(cycles))


def test_there_is_one_broken_recording_for_each_of_seven_faults(recordings: list[Recording]) -> None:
    visits = plan(PATIENTS, SEED)
    broken = expected_rejects(visits)
    assert sorted(broken.values()) == sorted(FAULTS)
    assert {recording.recording_id for recording in recordings} - {visit.name for visit in visits} == broken.keys()


def test_validate_rejects_exactly_the_broken_recordings(raw: Path) -> None:
    examined = examine_all(DATASET, raw, settings(PATIENTS, SEED).validate_, workers=1)
    rejects = build(examined).rejects
    found = dict(zip(rejects["recording_id"], rejects["reason"], strict=True))
    assert found == expected_rejects(plan(PATIENTS, SEED))


def test_the_share_of_broken_recordings_is_below_the_limit() -> None:
    visits = plan(60, SEED)
    broken = len(expected_rejects(visits))
    assert broken == 7
    assert broken / (len(visits) + broken) < settings(60, SEED).validate_.max_reject_share


@pytest.mark.parametrize("patients", [8, 12, 16, 60])
def test_every_class_of_every_task_occurs_in_several_patients(patients: int) -> None:
    diagnosis_of = {visit.patient.number: visit.patient.diagnosis for visit in plan(patients, SEED)}
    assert len(diagnosis_of) == patients
    for task in DATASET.tasks:
        if task.unit == "recording":
            counts = Counter(task.mapping[diagnosis] for diagnosis in diagnosis_of.values())
            assert set(counts) == set(task.classes)
            assert min(counts.values()) >= 2
    assert Counter(diagnosis_of.values())["Healthy"] >= (8 if patients == 60 else 3)


def test_the_default_sample_has_the_formats_and_class_shares_of_icbhi() -> None:
    visits = plan(60, SEED)
    assert 170 <= len(visits) <= 240
    assert {visit.sample_rate_hz for visit in visits} == {4000, 10000, 44100}
    assert {visit.subtype for visit in visits} == {"PCM_16", "PCM_24"}
    size = sum(v.duration_s * v.sample_rate_hz * (3 if v.subtype == "PCM_24" else 2) for v in visits)
    assert size < 120e6
    diagnoses = Counter(visit.patient.diagnosis for visit in visits)
    assert diagnoses.most_common(1)[0][0] == "COPD"
    assert sum(visit.patient.age_years is None or visit.patient.sex is None for visit in visits) > 0
    for k, share in enumerate(TARGET_SHARES):
        mean = sum(visit.patient.shares[k] for visit in visits) / len(visits)
        assert mean == pytest.approx(share, abs=0.02), SOUNDS[k]


def test_every_sound_occurs_in_several_patients_of_a_small_sample(raw: Path, recordings: list[Recording]) -> None:
    good = {visit.name for visit in plan(PATIENTS, SEED)}
    patients: dict[str, set[str]] = {}
    for recording in recordings:
        if recording.recording_id in good:
            for cycle in DATASET.segments(raw, recording):
                patients.setdefault(cycle.label, set()).add(recording.patient_id)
    assert set(patients) == set(SOUNDS)
    assert min(len(numbers) for numbers in patients.values()) >= 4


def test_without_shared_memory_the_sample_is_the_same(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("_multiprocessing.SemLock", refuse)
    assert digests(make(tmp_path / "alone", PATIENTS, SEED)) == digests(raw)


def test_a_full_disk_is_a_users_error(tmp_path: Path) -> None:
    visit = plan(PATIENTS, SEED)[0]
    with pytest.raises(AuscultError, match="no space left"), replacing_folder(tmp_path / "raw") as folder:
        (folder / f"{visit.name}.wav").symlink_to("/dev/full")
        write_audio(folder, visit, np.zeros(100_000))
