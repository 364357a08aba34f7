"""A delivery is examined alone and beside what is present; what can join is put in whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from flows.additions import REASONS, Delivery, add, examine, make_ready, message
from flows.additions import batch as batch_module
from stages.digests import file_sha256
from stages.errors import AuscultError, DataError, ParameterError
from stages.paths import Paths
from stages.records import RECORDING_COLUMNS
from stages.split.__main__ import main as split
from stages.store import read_table, write_table
from stages.validate.__main__ import main as validate
from stages.validate.additions import batch_name, checksums
from tests.validate.made_clinic import (
    AUDIO,
    PATHS,
    RATE_HZ,
    breath,
    describe,
    make_clinic,
    make_delivery,
    name_of,
    set_parameter,
    write_into,
)

#: Patients of the present data have three digits that begin with 1.
NEW, NEWER = name_of(301), name_of(302)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository's root with a validated and split clinic of 12 patients."""
    root = tmp_path_factory.mktemp("clinic")
    make_clinic(root)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    with inside(root):
        validate()
        split()
    return root


@pytest.fixture(scope="module")
def first(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """Three sound recordings, of a known patient and of two new ones, examined once."""
    sounds = {name_of(104, 5): breath(1), NEW: breath(2), NEWER: breath(3)}
    return examine("sample", make_delivery(tmp_path_factory.mktemp("first") / "delivery", sounds), made)


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A private copy of the repository, which is never the current directory."""
    return Path(shutil.copytree(made, tmp_path / "root"))


@pytest.fixture
def delivery(first: Delivery, tmp_path: Path) -> Path:
    """A private copy of the three recordings."""
    return Path(shutil.copytree(folder_of(first), tmp_path / "delivery"))


@pytest.fixture
def examined(first: Delivery, root: Path) -> Delivery:
    """The three, examined for the private copy of the repository."""
    return replace(first, root=root)


def folder_of(examined: Delivery) -> Path:
    return examined.files["ICBHI_Challenge_diagnosis.txt"].parent


def accepted(examined: Delivery) -> list[str]:
    return [item.recording.recording_id for item in examined.accepted]


def reasons(examined: Delivery) -> dict[str, str]:
    """Recording → its one reason."""
    found = {entry.recording_id: entry.reason for entry in examined.rejected}
    assert len(found) == len(examined.rejected)
    assert set(found.values()) <= set(REASONS)
    return found


def parts(root: Path) -> dict[str, str]:
    table = read_table(root / PATHS.split / "assignment.parquet")
    return dict(zip(table["recording_id"], table["part"], strict=True))


def everything(folder: Path) -> dict[str, str]:
    """What lies there: files with their checksums, DVC's own things apart."""
    return {place: value for place, value in checksums(folder).items() if not place.startswith(".dvc/")}


def test_what_is_put_in_is_what_the_stages_take_and_each_side_is_as_foretold(root: Path, examined: Delivery) -> None:
    before = parts(root)
    assert accepted(examined) == [name_of(104, 5), NEW, NEWER]
    assert (examined.known, examined.new) == ({"104"}, {"301", "302"})
    name = add(examined)
    folder = root / PATHS.added / str(name)
    assert re.fullmatch(r"[0-9a-f]{12}", str(name)) and batch_name(checksums(folder)) == name
    assert "md5" in folder.with_name(f"{name}.dvc").read_text()
    with inside(root):
        validate()
        split()
    after = parts(root)
    assert {key: after[key] for key in before} == before
    assert {key: after[key] for key in after.keys() - before.keys()} == {
        item.recording.recording_id: examined.sides[item.recording.patient_id] for item in examined.accepted
    }
    assert examined.sides["104"] == before[name_of(104)]
    manifest = read_table(root / PATHS.manifest / "recordings.parquet")
    assert (manifest["batch"] == name).sum() == 3
    for place, file in examined.files.items():
        assert file.stat().st_mode & stat.S_IWUSR, "DVC made its own copy read-only, not the delivery"
        assert not file.samefile(folder / place) and file_sha256(file) == examined.checksums[place]
    known = examine("sample", folder_of(examined), root)
    assert (accepted(known), known.rejected, len(known.already_there)) == ([], (), 3)


def test_broken_and_strange_recordings_stay_out_with_their_reasons(root: Path, delivery: Path) -> None:
    def put(name: str, sound: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
        return write_into(delivery, name, sound, rate_hz)

    cut = put(name_of(303), breath(10))
    cut.write_bytes(cut.read_bytes()[:5000])
    put(name_of(102), breath(11))  # a present name, another sound
    put(name_of(103, 9), breath(1051))  # a present sound, another name
    put(name_of(304), soxr.resample(breath(1061), RATE_HZ, 11025) * 0.5, 11025)  # a near copy of a present sound
    put(name_of(305), breath(12))
    put(name_of(306), soxr.resample(breath(12), RATE_HZ, 8000), 8000)  # a near copy within the delivery
    put(name_of(307), breath(13)).with_suffix(".txt").write_text("0.1\t2\t0\n")
    (delivery / AUDIO / "holiday.wav").write_bytes(b"RIFF")
    describe(delivery, [102, 103, 104, 301, 302, 303, 304, 305, 306, 307, 308])
    put(name_of(308), breath(14))
    table = delivery / "ICBHI_Challenge_demographic_information.txt"
    table.write_text(re.sub(r"^308\t\d+", "308\t444", table.read_text(), flags=re.M))
    examined = examine("sample", delivery, root)
    assert reasons(examined) == {
        name_of(303): "truncated",
        name_of(102): "duplicate_id",
        name_of(103, 9): "duplicate_audio",
        name_of(304): "twin",
        name_of(305): "twin",
        name_of(306): "twin",
        name_of(307): "annotation_malformed",
        name_of(308): "expectation",
        f"{AUDIO}/holiday.wav": "unplaced",
    }
    assert accepted(examined) == [name_of(104, 5), NEW, NEWER]
    table = examined.rejects()
    assert name_of(106) in table.set_index("recording_id").loc[name_of(304), "detail"]
    assert {Path(place).stem for place in examined.files if place.startswith(AUDIO)} == set(accepted(examined))


def test_a_known_patient_of_another_sex_is_a_contradiction(root: Path, delivery: Path) -> None:
    table = delivery / "ICBHI_Challenge_demographic_information.txt"
    table.write_text(re.sub(r"^(104\t\d+)\tM", r"\1\tF", table.read_text(), flags=re.M))
    examined = examine("sample", delivery, root)
    assert reasons(examined) == {name_of(104, 5): "expectation"}
    assert "one sex per patient" in examined.rejected[0].detail


def test_the_same_delivery_twice_is_added_once(root: Path, examined: Delivery) -> None:
    name = add(examined)
    before = everything(root)
    assert add(examined) == name
    again = examine("sample", folder_of(examined), root)  # the manifest does not know the batch yet
    assert (accepted(again), again.rejected) == ([], ())
    assert set(again.already_there) == {name_of(104, 5), NEW, NEWER}
    assert add(again) is None
    assert everything(root) == before


def test_a_second_delivery_brings_only_what_is_new(root: Path, examined: Delivery, tmp_path: Path) -> None:
    add(examined)
    sounds = {NEW: breath(2), name_of(301, 2): breath(4), NEWER: breath(5), name_of(103, 9): breath(3)}
    second = examine("sample", make_delivery(tmp_path / "second", sounds), root)
    assert second.already_there == (NEW,)
    assert reasons(second) == {NEWER: "duplicate_id", name_of(103, 9): "duplicate_audio"}
    assert accepted(second) == [name_of(301, 2)]
    assert (second.known, second.sides["301"]) == ({"301"}, examined.sides["301"]), "known by the first delivery"


def test_corrected_labels_are_not_lost_in_silence(root: Path, tmp_path: Path) -> None:
    folder = make_delivery(tmp_path / "delivery", {name_of(101): breath(1011), name_of(102): breath(1021)})
    shutil.copytree(root / PATHS.raw / AUDIO, folder / AUDIO, dirs_exist_ok=True)
    describe(folder, range(101, 113))
    unchanged = examine("sample", folder, root)
    assert (accepted(unchanged), unchanged.rejected, len(unchanged.already_there)) == ([], (), 24)
    (folder / AUDIO / f"{name_of(101)}.txt").write_text("0.1\t3.000\t0\t1\n3.000\t6.000\t1\t0\n")
    table = folder / "ICBHI_Challenge_diagnosis.txt"
    table.write_text(re.sub(r"^102\t\w+", "102\tAsthma", table.read_text(), flags=re.M))
    corrected = examine("sample", folder, root)
    assert reasons(corrected) == dict.fromkeys([name_of(101), name_of(102), name_of(102, 2)], "corrected")


def test_what_was_set_aside_keeps_its_name(root: Path, tmp_path: Path) -> None:
    audio = root / PATHS.raw / AUDIO / f"{name_of(101)}.wav"
    audio.write_bytes(audio.read_bytes()[:5000])
    with inside(root):
        validate()
    examined = examine("sample", make_delivery(tmp_path / "delivery", {name_of(101): breath(1011)}), root)
    assert reasons(examined) == {name_of(101): "duplicate_id"}


def test_a_commit_tells_counts_and_nobodys_name(root: Path, delivery: Path) -> None:
    write_into(delivery, name_of(102), breath(11))
    describe(delivery, [102, 104, 301, 302])
    examined = examine("sample", delivery, root)
    text = message(examined)
    first, blank, *rest = text.splitlines()
    assert (first, blank) == ("data: 3 recordings of 3 patients added to sample", "")
    assert f"Addition {examined.batch}, 0.01 hours" in rest
    assert "Recordings: Healthy 1, URTI 2" in rest
    assert "Segments: crackle 3, normal 3" in rest
    assert any(re.fullmatch(r"Known patients, who keep their side: 1 \(\w+ 1\)", line) for line in rest)
    assert any(line.startswith("New patients: 2 (") for line in rest)
    assert rest[-1] == "Left out: 1 duplicate_id"
    assert not re.search(r"\b(102|104|301|302)\b|_", text.replace("duplicate_id", ""))


def test_nothing_accepted_writes_nothing(root: Path, tmp_path: Path) -> None:
    folder = make_delivery(tmp_path / "delivery", {NEW: breath(2)})
    (folder / AUDIO / f"{NEW}.wav").write_bytes(b"")
    examined = examine("sample", folder, root)
    before = everything(root)
    assert add(examined) is None
    assert everything(root) == before and not (root / PATHS.added).exists()
    assert message(examined).splitlines() == ["data: nothing added to sample", "", "Left out: 1 unreadable"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "is not there"),
        (lambda folder: folder.write_bytes(b"PK"), "is a file"),
        (lambda folder: folder.mkdir(), "this is no copy of"),
        (lambda folder: write_into(folder, NEW, breath(2)), "lacks the diagnoses"),
    ],
    ids=["nothing", "archive", "empty", "no table"],
)
def test_a_delivery_in_another_layout_is_refused_in_words(root: Path, tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "delivery")
    with pytest.raises(DataError, match=words) as caught:
        examine("sample", tmp_path / "delivery", root)
    assert str(tmp_path / "delivery") in caught.value.where and caught.value.next_step


def test_a_table_that_cannot_be_read_is_named_where_it_was_delivered(root: Path, delivery: Path) -> None:
    table = (delivery / "ICBHI_Challenge_diagnosis.txt").rename(delivery / "patient_diagnosis.csv")
    table.write_text("<html>please log in</html>")
    with pytest.raises(DataError, match=r"is no such table") as caught:
        examine("sample", delivery, root)
    assert caught.value.where == str(table)


def test_without_a_manifest_the_next_command_is_named(root: Path, delivery: Path) -> None:
    shutil.rmtree(root / PATHS.manifest)
    with pytest.raises(DataError, match="the manifest of sample is not there") as caught:
        examine("sample", delivery, root)
    assert "dvc repro validate" in caught.value.next_step


def test_a_manifest_with_an_addition_that_is_gone_is_refused(root: Path, delivery: Path) -> None:
    file = root / PATHS.manifest / "recordings.parquet"
    write_table(file, read_table(file).assign(batch="0123456789ab"), RECORDING_COLUMNS)
    with pytest.raises(DataError, match="which is gone"):
        examine("sample", delivery, root)


def test_an_unknown_data_set_is_refused(root: Path, delivery: Path) -> None:
    with pytest.raises(ParameterError, match="Did you mean 'sample'"):
        examine("samples", delivery, root)


def stop(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["copying", "tracking"])
def test_killed_at_any_moment_the_next_call_ends_as_if_nothing_had_happened(
    root: Path, examined: Delivery, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(batch_module, "checksums" if moment == "copying" else "_track", stop)
        child = os.fork()
        if child == 0:
            try:
                add(examined)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (left,) = (root / PATHS.added).iterdir()
    assert (left / AUDIO / f"{NEW}.wav").exists(), "the kill came when something was there"
    if moment == "tracking":
        with pytest.raises(DataError, match="nobody else would have it"):
            make_ready(root)
    assert len(examine("sample", folder_of(examined), root).accepted) == 3
    name = add(examined)
    assert sorted(path.name for path in (root / PATHS.added).iterdir()) == [str(name), f"{name}.dvc"]
    make_ready(root)


def test_what_dvc_refuses_is_not_there(root: Path, examined: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "DVC", (sys.executable, "-c", "raise SystemExit('ERROR: the disk is gone')"))
    with pytest.raises(AuscultError, match="the disk is gone"):
        add(examined)
    assert not list((root / PATHS.added).iterdir())


def test_a_folder_without_dvc_is_refused(root: Path, examined: Delivery) -> None:
    shutil.rmtree(root / ".dvc")
    with pytest.raises(AuscultError, match="no DVC repository"):
        add(examined)
    with pytest.raises(AuscultError, match="no DVC repository"):
        examine("sample", folder_of(examined), root)
    assert not (root / ".dvc").exists() and not (root / PATHS.added).exists()


def test_a_file_that_changed_after_it_was_examined_is_not_added(root: Path, delivery: Path) -> None:
    examined = examine("sample", delivery, root)
    (delivery / AUDIO / f"{NEW}.txt").write_text("0.1\t2\t0\t0\n")
    with pytest.raises(DataError, match="changed since it was examined"):
        add(examined)
    assert not list((root / PATHS.added).iterdir())


def test_what_is_missing_is_said_before_dvc_starts(tmp_path: Path) -> None:
    make_ready(tmp_path)
    assert (tmp_path / "data/added").is_dir(), "the folder that a stage depends on"
    (tmp_path / "data/added/icbhi").mkdir()
    (tmp_path / "data/added/icbhi/0123456789ab.dvc").touch()
    with pytest.raises(DataError, match="the addition 0123456789ab is not there") as caught:
        make_ready(tmp_path)
    assert "dvc pull" in caught.value.next_step


SPRSOUND = Paths("sprsound")


def child(number: int, take: int = 1) -> str:
    return f"{65000000 + number}_3.4_{number % 2}_p{1 + take % 4}_{10 * number + take}"


def write_child(folder: Path, name: str, seed: int, sub: str = "train2022") -> None:
    """A recording with two events, the later one first."""
    (folder / f"{sub}_wav").mkdir(parents=True, exist_ok=True)
    (folder / f"{sub}_json").mkdir(exist_ok=True)
    soundfile.write(folder / f"{sub}_wav" / f"{name}.wav", breath(seed, 6.0, 8000), 8000)
    events = [{"start": "3000", "end": "5000", "type": "Wheeze"}, {"start": "100", "end": "2400", "type": "Normal"}]
    about = {"record_annotation": "CAS", "event_annotation": events}
    (folder / f"{sub}_json" / f"{name}.json").write_text(json.dumps(about))


def test_a_delivery_to_another_data_set_in_its_own_layout(root: Path, tmp_path: Path) -> None:
    """params.yaml names the sample again by the time that SPRSound gets its delivery."""
    for number in range(6):
        write_child(root / SPRSOUND.raw, child(number), 500 + number)
    set_parameter(root, "dataset", "sprsound")
    with inside(root):
        validate()
        split()
    set_parameter(root, "dataset", "sample")
    folder = tmp_path / "delivery"
    write_child(folder / "BioCAS2022", child(2, 2), 600)
    write_child(folder / "BioCAS2022", child(9), 601, sub="train")  # a copy that leaves the year out
    write_child(folder / "BioCAS2022", child(0), 602)
    write_child(folder / "BioCAS2022", child(1), 501)
    examined = examine("sprsound", folder, root)
    assert accepted(examined) == [child(2, 2), child(9)]
    assert (reasons(examined), examined.already_there) == ({child(0): "duplicate_id"}, (child(1),))
    assert (examined.known, examined.new) == ({"65000002"}, {"65000009"})
    batch = root / SPRSOUND.added / str(add(examined))
    places = [
        f"{folder}/{name}.{end}"
        for folder, end in (("train2022_json", "json"), ("train2022_wav", "wav"))
        for name in accepted(examined)
    ]
    assert sorted(checksums(batch)) == sorted(places)
    set_parameter(root, "dataset", "sprsound")
    with inside(root):
        validate()
        split()
    table = read_table(root / SPRSOUND.split / "assignment.parquet").set_index("recording_id")
    assert table.loc[[child(2, 2), child(9)], "published_part"].isna().all()
    assert table.loc[child(2, 2), "part"] == table.loc[child(2), "part"] == examined.sides["65000002"]
    assert table.loc[child(9), "part"] == examined.sides["65000009"]
