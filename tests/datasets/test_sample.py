"""The sample data set: ICBHI's layout and class shares, devices, periods, reproducible bytes, and seven faults."""

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
from auscult.datasets.synthesis import acoustics
from auscult.datasets.synthesis.faults import FAULTS, faults
from auscult.datasets.synthesis.files import write_audio
from auscult.datasets.synthesis.population import (
    DEVICES,
    DURATION_S,
    FIRST_NUMBER,
    LATE_SHARES,
    SOUNDS,
    TARGET_SHARES,
    Visit,
    plan,
)
from auscult.datasets.synthesis.renderer import physiology, render
from auscult.validation.manifest import build, examine_all

ROOT = Path(__file__).parents[2]
PATIENTS, SEED = 12, 2017
DEFAULT = load(ROOT / "params.yaml").download.sample


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
    pattern = r"\d{3}_\db\d_(Tc|[APL][lr])_sc_(Meditron|LittC2SE)"
    assert [name for name in names if not re.fullmatch(pattern, name)] == []


def test_every_valid_recording_matches_its_plan(raw: Path, recordings: list[Recording]) -> None:
    by_name = {recording.recording_id: recording for recording in recordings}
    for visit in plan(PATIENTS, SEED):
        recording = by_name[visit.name]
        info = soundfile.info(raw / recording.path)
        assert (info.samplerate, info.subtype, info.channels) == (visit.sample_rate_hz, visit.subtype, 1)
        assert info.duration == pytest.approx(visit.duration_s, abs=0.01)
        assert DURATION_S[0] - 0.01 <= info.duration <= DURATION_S[2] + 0.01
        assert (recording.label, recording.age_years) == (visit.patient.diagnosis, visit.patient.age_years)
        cycles = DATASET.segments(raw, recording)
        assert cycles and 0.0 <= cycles[0].start_s < 0.6 and info.duration - 0.6 < cycles[-1].end_s <= info.duration
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
    visits = plan(DEFAULT.patients, SEED)
    broken = len(expected_rejects(visits))
    assert broken == 7
    limit = settings(DEFAULT.patients, SEED).validate_.max_reject_share
    assert broken / (len(visits) + broken) < limit


@pytest.mark.parametrize("patients", [8, 12, 16, DEFAULT.patients])
def test_every_class_of_every_task_occurs_in_several_patients(patients: int) -> None:
    diagnosis_of = {visit.patient.number: visit.patient.diagnosis for visit in plan(patients, SEED)}
    assert len(diagnosis_of) == patients
    for task in DATASET.tasks:
        if task.unit == "recording":
            counts = Counter(task.mapping[diagnosis] for diagnosis in diagnosis_of.values())
            assert set(counts) == set(task.classes)
            assert min(counts.values()) >= 2
    assert Counter(diagnosis_of.values())["Healthy"] >= (80 if patients == DEFAULT.patients else 3)


@pytest.fixture(scope="module")
def default() -> list[Visit]:
    return plan(DEFAULT.patients, DEFAULT.seed)


def test_the_default_sample_has_many_patients_with_one_to_three_short_recordings(default: list[Visit]) -> None:
    recordings = Counter(visit.patient.number for visit in default)
    assert len(recordings) == 280
    assert set(recordings.values()) == {1, 2, 3}
    durations = np.array([visit.duration_s for visit in default])
    assert DURATION_S[0] <= durations.min() and durations.max() <= DURATION_S[2]
    assert 5.5 < durations.mean() < 6.5
    assert durations.sum() / 3600 < 0.78


def test_the_default_sample_has_the_formats_and_class_shares_of_icbhi(default: list[Visit]) -> None:
    assert {visit.sample_rate_hz for visit in default} == {4000, 10000, 44100}
    assert {visit.subtype for visit in default} == {"PCM_16", "PCM_24"}
    size = sum(v.duration_s * v.sample_rate_hz * (3 if v.subtype == "PCM_24" else 2) for v in default)
    assert size < 100e6
    diagnoses = Counter(visit.patient.diagnosis for visit in default)
    assert diagnoses.most_common(1)[0][0] == "COPD"
    assert sum(visit.patient.age_years is None or visit.patient.sex is None for visit in default) > 0
    assert mean_shares(default) == pytest.approx(TARGET_SHARES, abs=0.01), SOUNDS


def mean_shares(visits: list[Visit]) -> list[float]:
    """Planned shares of SOUNDS, by recording."""
    return [float(share) for share in np.mean([visit.patient.shares for visit in visits], axis=0)]


def test_there_are_two_devices_and_each_patient_is_recorded_with_one(default: list[Visit]) -> None:
    patients = Counter(dict.fromkeys((visit.patient.number, visit.device) for visit in default).keys())
    assert len(patients) == DEFAULT.patients
    by_device = Counter(device for _, device in patients)
    assert set(by_device) == set(DEVICES)
    assert 0.35 <= by_device["LittC2SE"] / DEFAULT.patients <= 0.45


def test_the_last_quarter_of_the_patients_is_a_period_with_another_case_mix(default: list[Visit]) -> None:
    late = {visit.patient.number for visit in default if visit.patient.late}
    numbers = range(FIRST_NUMBER, FIRST_NUMBER + DEFAULT.patients)
    assert late == set(numbers[-DEFAULT.patients // 4 :])
    before, after = ([v for v in default if v.patient.late is period] for period in (False, True))
    assert mean_shares(after) == pytest.approx(LATE_SHARES, abs=0.01)
    assert sum(mean_shares(after)[1:]) > sum(mean_shares(before)[1:]) + 0.15
    healthy = [np.mean([visit.patient.diagnosis == "Healthy" for visit in period]) for period in (before, after)]
    assert healthy[0] > healthy[1] + 0.08


def test_the_sequence_is_the_order_of_enrolment(recordings: list[Recording]) -> None:
    assert [recording.sequence for recording in recordings] == [int(recording.patient_id) for recording in recordings]
    number = {visit.patient.number: visit.patient.late for visit in plan(PATIENTS, SEED)}
    assert sorted(number, key=lambda each: (number[each], each)) == sorted(number)


def test_fine_crackles_last_5_to_10_ms_and_coarse_ones_10_to_30(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: dict[bool, list[float]] = {False: [], True: []}
    crackle, fine = acoustics.crackle, False

    def measured(width_s: float, two_cycles_s: float) -> acoustics.Signal:
        wave = crackle(width_s, two_cycles_s)
        lengths[fine].append(len(wave) / acoustics.RATE_HZ)
        return wave

    monkeypatch.setattr(acoustics, "crackle", measured)
    for visit in [each for each in plan(40, SEED) if each.device == "Meditron"]:  # the other one clicks
        fine = physiology(visit.patient, SEED).fine
        render(visit, SEED)
    assert min(len(found) for found in lengths.values()) > 100
    sample_s = 1 / acoustics.RATE_HZ
    assert 0.005 - sample_s <= min(lengths[True]) and max(lengths[True]) <= 0.010 + sample_s
    assert 0.010 - sample_s <= min(lengths[False]) and max(lengths[False]) <= 0.030 + sample_s


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
