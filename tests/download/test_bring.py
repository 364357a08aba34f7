"""`python -m stages.download` as a user meets it: any source gives one raw; a failure keeps the last good one."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.download import datasets
from stages.download.__main__ import main
from stages.download.bring import bring
from stages.download.datasets import Counts, RemoteFile
from stages.download.datasets.icbhi import Icbhi
from stages.download.source import PUBLISHER, recall, remember
from stages.errors import AuscultError, DataError, DownloadError

ROOT = Path(__file__).parents[2]
Contents = Callable[[Path], dict[str, bytes]]
Zip = Callable[[Path, Path], Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path / "root")


def raw_from(source: str | None, dataset: datasets.Dataset | None = None) -> Path:
    raw = Path("data/icbhi/raw")
    bring(dataset or datasets.load("icbhi"), source, raw)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]  # nothing is left lying beside it
    return raw


def test_folder_zip_and_url_give_the_same_raw(
    official_copy: Path, tmp_path: Path, server: Any, zip_of: Zip, content_of: Contents
) -> None:
    archive = zip_of(official_copy, tmp_path / "copy.zip")
    server.put("/some/copy.zip", archive.read_bytes(), cut_after=[500])
    expected = content_of(official_copy)
    for source in (str(official_copy), str(archive), server.url("/some/copy.zip")):
        assert content_of(raw_from(source)) == expected, source
    assert not any(path.is_symlink() for path in Path("data").rglob("*"))


def test_a_damaged_archive_from_an_address_says_which_file_to_remove(server: Any) -> None:
    server.put("/copy.zip", b"<html>log in first</html>")
    for _ in range(2):  # the second time it is there already
        with pytest.raises(DownloadError, match="is no zip") as caught:
            bring(datasets.load("icbhi"), server.url("/copy.zip"), Path("data/icbhi/raw"))
        kept = next(Path(".cache/downloads").glob("*copy.zip"))
        assert f"remove {kept}" in caught.value.next_step
    kept.unlink()


def test_without_its_source_a_whole_raw_stays(
    official_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    text = Path("params.yaml").read_text().replace("dataset: sample", "dataset: icbhi", 1)
    Path("params.yaml").write_text(text)
    disk = tmp_path / "disk"
    shutil.copytree(official_copy, disk)
    remember("icbhi", str(disk))
    main()
    before = sorted(Path("data/icbhi/raw").rglob("*"))
    shutil.rmtree(disk)
    main()
    assert sorted(Path("data/icbhi/raw").rglob("*")) == before
    assert "does not exist (any more)" in capsys.readouterr().out
    shutil.rmtree("data/icbhi/raw")
    with pytest.raises(DataError, match="does not exist"):
        main()


def test_the_official_download_as_it_lies_there_is_a_source(
    official_copy: Path, tmp_path: Path, zip_of: Zip, content_of: Contents
) -> None:
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    zip_of(official_copy / "ICBHI_final_database", downloads / "ICBHI_final_database.zip")
    for table in official_copy.glob("*.txt"):
        shutil.copy(table, downloads)
    assert content_of(raw_from(str(downloads))) == content_of(official_copy)


def test_both_layouts_give_the_same_recordings(official_copy: Path, other_copy: Path) -> None:
    icbhi = datasets.load("icbhi")
    official = icbhi.recordings(raw_from(str(official_copy)))
    other = icbhi.recordings(raw_from(str(other_copy)))
    assert [recording.path.endswith(".flac") for recording in other] == [True, False, False, False]
    assert [str(recording).replace(".flac", ".wav") for recording in other] == [
        str(recording) for recording in official
    ]


def published(official_copy: Path, tmp_path: Path, server: Any, remote: Any, zip_of: Zip, counts: Counts) -> Icbhi:
    """ICBHI as a small publisher would serve it."""
    body = zip_of(official_copy / "ICBHI_final_database", tmp_path / "a.zip").read_bytes()
    server.put("/a.zip", body, cut_after=[200])
    files = [remote(body, "/gone.zip", "/a.zip", name="ICBHI_final_database.zip")]
    for table in sorted(official_copy.glob("*.txt")):
        server.put(f"/{table.name}", table.read_bytes())
        files.append(RemoteFile(table.name, (server.url(f"/{table.name}"),), archive=False))

    class Served(Icbhi):
        pass

    Served.files, Served.expected = tuple(files), counts
    return Served()


def test_the_publishers_files_give_the_same_raw(
    official_copy: Path, tmp_path: Path, server: Any, remote: Any, zip_of: Zip, content_of: Contents
) -> None:
    dataset = published(official_copy, tmp_path, server, remote, zip_of, Counts(4, 3, 16))
    assert content_of(raw_from(None, dataset)) == content_of(official_copy)


def test_an_incomplete_publication_is_refused_and_the_last_raw_kept(
    official_copy: Path, tmp_path: Path, server: Any, remote: Any, zip_of: Zip, content_of: Contents
) -> None:
    before = content_of(raw_from(str(official_copy)))
    dataset = published(official_copy, tmp_path, server, remote, zip_of, Counts(5, 3, 16))
    with pytest.raises(DownloadError, match="4 recordings of 3 patients, 16 segments; expected 5 recordings"):
        raw_from(None, dataset)
    assert content_of(Path("data/icbhi/raw")) == before


PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n<body>Please log in, 2026.</body></html>\n"


@pytest.mark.parametrize(
    ("table", "body", "words"),
    [
        ("ICBHI_Challenge_diagnosis.txt", PAGE, "no such table"),
        ("ICBHI_Challenge_diagnosis.txt", b"", "it is empty"),
        ("ICBHI_Challenge_demographic_information.txt", PAGE, "no such table"),
        ("ICBHI_Challenge_diagnosis.txt", b", ;\n", "no such table"),
        ("ICBHI_Challenge_diagnosis.txt", b"999\tURTI\n", "no label"),
    ],
)
def test_a_page_served_in_place_of_a_table_is_refused_and_the_last_raw_kept(
    table: str,
    body: bytes,
    words: str,
    official_copy: Path,
    tmp_path: Path,
    server: Any,
    remote: Any,
    zip_of: Zip,
    content_of: Contents,
) -> None:
    before = content_of(raw_from(str(official_copy)))
    dataset = published(official_copy, tmp_path, server, remote, zip_of, Counts(4, 3, 16))
    server.put(f"/{table}", body)
    with pytest.raises(DataError, match=words) as caught:
        raw_from(None, dataset)
    assert caught.value.where.startswith(".cache/downloads") and " again" in caught.value.next_step
    assert caught.value.where.endswith(table) or words != "no such table"
    assert content_of(Path("data/icbhi/raw")) == before
    server.put(f"/{table}", (official_copy / table).read_bytes(), etag='"right"')
    assert content_of(raw_from(None, dataset)) == content_of(official_copy)  # nobody has to clear anything


def test_another_recording_of_the_same_name_and_size_is_no_copy(official_copy: Path, content_of: Contents) -> None:
    name = "101_1b1_Al_sc_Meditron.wav"
    original = official_copy / "ICBHI_final_database" / name
    (official_copy / "denoised").mkdir()
    other = official_copy / "denoised" / name
    other.write_bytes(original.read_bytes())
    assert len(content_of(raw_from(str(official_copy)))) == 11
    other.write_bytes(b"F" + original.read_bytes()[1:])
    with pytest.raises(DataError) as caught:
        raw_from(str(official_copy))
    assert str(original) in str(caught.value) and str(other) in str(caught.value)


def test_a_table_in_both_layouts_is_taken_once_unless_they_disagree(official_copy: Path, other_copy: Path) -> None:
    csv = official_copy / "patient_diagnosis.csv"
    shutil.copy(other_copy / "Respiratory_Sound_Database" / "patient_diagnosis.csv", csv)
    recordings = datasets.load("icbhi").recordings(raw_from(str(official_copy)))
    assert [recording.label for recording in recordings] == ["URTI", "COPD", "COPD", "Pneumonia"]
    csv.write_text(csv.read_text(encoding="utf-8").replace("COPD", "Asthma"), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        raw_from(str(official_copy))
    assert str(csv) in str(caught.value)
    assert str(official_copy / "ICBHI_Challenge_diagnosis.txt") in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "zip", "zip beside tables", "address"])
def test_an_error_names_the_file_as_the_user_has_it(
    kind: str, official_copy: Path, tmp_path: Path, server: Any, zip_of: Zip
) -> None:
    split = official_copy / "ICBHI_challenge_train_test.txt"
    split.write_text("101_1b1_Al_sc_Meditron\ttest\nrubbish\n", encoding="utf-8")
    source, where, existing = str(official_copy), f"{split}:2", split
    if kind == "zip beside tables":
        zip_of(official_copy / "ICBHI_final_database", official_copy / "ICBHI_final_database.zip")
        shutil.rmtree(official_copy / "ICBHI_final_database")
    elif kind != "folder":
        archive = zip_of(official_copy, tmp_path / "copy.zip")
        server.put("/copy.zip", archive.read_bytes())
        source = str(archive) if kind == "zip" else server.url("/copy.zip")
        where = f"copy.zip/official/{split.name}:2"
        existing = archive if kind == "zip" else Path(".cache/downloads")
    with pytest.raises(DataError, match="line 2") as caught:
        raw_from(source)
    assert caught.value.where.endswith(where) and ".part" not in str(caught.value)
    assert caught.value.where.startswith(str(existing))


def test_a_zip_without_a_needed_table_is_named_with_the_way_on(
    official_copy: Path, tmp_path: Path, zip_of: Zip, content_of: Contents
) -> None:
    complete = content_of(official_copy)
    table = official_copy / "ICBHI_Challenge_diagnosis.txt"
    folder = tmp_path / "both"
    folder.mkdir()
    table.rename(folder / table.name)
    archive = zip_of(official_copy, tmp_path / "copy.zip")
    with pytest.raises(DataError, match="lacks the diagnoses") as caught:
        raw_from(str(archive))
    assert caught.value.where == str(archive) and "into one folder" in caught.value.next_step
    archive.rename(folder / archive.name)
    assert content_of(raw_from(str(folder))) == complete  # what the message advises works


def test_a_disk_that_fills_up_while_unpacking_is_not_the_archives_fault(
    official_copy: Path, tmp_path: Path, zip_of: Zip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = zip_of(official_copy, tmp_path / "copy.zip")
    monkeypatch.setattr(zipfile.ZipExtFile, "read", full)
    with pytest.raises(AuscultError, match="no space left") as caught:
        raw_from(str(archive))
    assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize("fault", ["empty", "no audio", "no diagnoses", "broken zip", "two versions"])
def test_a_bad_source_is_named_and_the_last_raw_kept(
    fault: str, official_copy: Path, tmp_path: Path, content_of: Contents
) -> None:
    before = content_of(raw_from(str(official_copy)))
    bad = tmp_path / "bad"
    shutil.copytree(official_copy, bad)
    if fault == "empty":
        shutil.rmtree(bad)
        bad.mkdir()
    elif fault == "no audio":
        for path in bad.rglob("*.wav"):
            path.unlink()
    elif fault == "no diagnoses":
        (bad / "ICBHI_Challenge_diagnosis.txt").unlink()
    elif fault == "broken zip":
        bad = tmp_path / "bad.zip"
        bad.write_bytes(b"PK")
    else:
        (bad / "b").mkdir()
        (bad / "b" / "101_1b1_Al_sc_Meditron.wav").write_bytes(b"another")
    with pytest.raises(DataError) as caught:
        raw_from(str(bad))
    assert caught.value.next_step and caught.value.where == str(bad)
    assert content_of(Path("data/icbhi/raw")) == before


def test_a_source_is_remembered_until_another_is_given(official_copy: Path) -> None:
    assert recall("icbhi") is None
    assert remember("icbhi", os.path.relpath(official_copy)) == str(official_copy)
    assert recall("icbhi") == str(official_copy)
    assert recall("sprsound") is None
    assert remember("icbhi", "https://host/copy.zip") == "https://host/copy.zip" == recall("icbhi")
    assert remember("icbhi", official_copy.as_uri()) == str(official_copy)
    assert remember("icbhi", PUBLISHER) is None and recall("icbhi") is None


@pytest.mark.parametrize(
    "source",
    [
        "",
        "no/such/folder",
        "ftp://host/a.zip",
        "s3://bucket/a",
        "params.7z",
        "http://host:99999/a.zip",
        "http://host:port/a.zip",
        "http://[x/a.zip",
        "file://[x/a.zip",
    ],
)
def test_a_source_that_cannot_be_is_refused_and_not_remembered(source: str, official_copy: Path) -> None:
    Path("params.7z").write_bytes(b"7z")
    remember("icbhi", str(official_copy))
    with pytest.raises(DataError):
        remember("icbhi", source)
    assert recall("icbhi") == str(official_copy)


def test_a_source_that_vanished_is_named_with_the_way_on(official_copy: Path) -> None:
    remember("icbhi", str(official_copy))
    shutil.rmtree(official_copy)
    with pytest.raises(DataError) as caught:
        recall("icbhi")
    assert str(official_copy) in str(caught.value) and "SOURCE=" in str(caught.value)


def stage(dataset: str) -> subprocess.Popen[str]:
    """The stage in a process of its own, in the current folder."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("dataset: sample ", f"dataset: {dataset} "), encoding="utf-8")
    command = [sys.executable, "-m", "stages.download"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_stage_runs_alone_and_fails_in_words(sprsound_copy: Path) -> None:
    remember("sprsound", str(sprsound_copy))
    process = stage("sprsound")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "4 recordings of 3 patients" in output
    shutil.rmtree(sprsound_copy)
    sprsound_copy.mkdir()
    process = stage("sprsound")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in errors
    assert str(sprsound_copy) in errors and "next:" in errors
    assert len(list(Path("data/sprsound/raw").rglob("*.wav"))) == 4


def _recordings(folder: Path) -> int:
    """How many there are in a folder that is being filled, emptied and removed meanwhile."""
    return sum(name.endswith(".wav") for _, _, names in os.walk(folder) for name in names)


def test_a_kill_at_any_moment_leaves_one_whole_raw(
    official_copy: Path, tmp_path: Path, zip_of: Zip, content_of: Contents
) -> None:
    before = content_of(raw_from(str(official_copy)))
    for number in range(300):
        name = f"{300 + number}_1b1_Al_sc_Meditron"
        (official_copy / "ICBHI_final_database" / f"{name}.wav").write_bytes(b"RIFF" + bytes(20_000))
        (official_copy / "ICBHI_final_database" / f"{name}.txt").write_text("0\t1\t0\t0\n")
    after = content_of(official_copy)
    remember("icbhi", str(zip_of(official_copy, tmp_path / "larger.zip")))
    unpacking = Path("data/icbhi/.unpacked.icbhi.part")
    for moment in (0, 40, 300):  # so many files unpacked when the kill comes
        process = stage("icbhi")
        while process.poll() is None and _recordings(unpacking) < moment:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert content_of(Path("data/icbhi/raw")) in (before, after)
    last = stage("icbhi")
    _, errors = last.communicate(timeout=60)
    assert last.returncode == 0, errors
    assert content_of(Path("data/icbhi/raw")) == after
    assert [path.name for path in Path("data/icbhi").iterdir()] == ["raw"]


def test_a_killed_download_goes_on_where_it_was(
    official_copy: Path, tmp_path: Path, server: Any, zip_of: Zip, content_of: Contents
) -> None:
    (official_copy / "ICBHI_final_database" / "101_1b1_Al_sc_Meditron.wav").write_bytes(os.urandom(300_000))
    body = zip_of(official_copy, tmp_path / "copy.zip").read_bytes()
    server.put("/copy.zip", body, cut_after=[200_000], hold_s=60.0)
    remember("icbhi", server.url("/copy.zip"))
    process = stage("icbhi")
    while process.poll() is None and not any(
        path.stat().st_size > 150_000 for path in Path(".cache/downloads").glob("*.part")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.release()
    assert stage("icbhi").wait(timeout=60) == 0
    assert server.log[-1].status == 206 and server.log[-1].sent < len(body) - 150_000
    assert content_of(Path("data/icbhi/raw")) == content_of(official_copy)
