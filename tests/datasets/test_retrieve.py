"""Every kind of source gives the same raw folder; a failure keeps the previous one."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult import datasets
from auscult.core.errors import AuscultError, DataError, DownloadError
from auscult.datasets import Counts, RemoteFile
from auscult.datasets.icbhi import Icbhi
from auscult.datasets.retrieval.retrieve import assemble

ROOT = Path(__file__).parents[2]
Contents = Callable[[Path], dict[str, bytes]]
Zip = Callable[[Path, Path], Path]


pytestmark = pytest.mark.usefixtures("in_a_root")


def raw_from(source: str | None, dataset: datasets.Dataset | None = None) -> Path:
    raw = Path("data/icbhi/raw")
    assemble(dataset or datasets.load("icbhi"), source, raw)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]  # no temporary files
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


def test_a_damaged_archive_from_a_url_is_named(server: Any) -> None:
    server.put("/copy.zip", b"<html>log in first</html>")
    for _ in range(2):  # the second time it is downloaded already
        with pytest.raises(DownloadError, match="no zip") as caught:
            assemble(datasets.load("icbhi"), server.url("/copy.zip"), Path("data/icbhi/raw"))
        kept = next(Path(".cache/downloads").glob("*copy.zip"))
        assert f"remove {kept}" in caught.value.next_step
    kept.unlink()


def test_a_folder_with_the_official_downloads_is_a_source(
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
    """Return ICBHI, published on the local server."""
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


def test_an_incomplete_download_is_an_error_and_keeps_raw(
    official_copy: Path, tmp_path: Path, server: Any, remote: Any, zip_of: Zip, content_of: Contents
) -> None:
    before = content_of(raw_from(str(official_copy)))
    dataset = published(official_copy, tmp_path, server, remote, zip_of, Counts(5, 3, 16))
    with pytest.raises(DownloadError, match="4 recordings of 3 patients, 16 segments; expected 5 recordings"):
        raw_from(None, dataset)
    assert content_of(Path("data/icbhi/raw")) == before


PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n<body>Please log in, 2026.</body></html>\n"


@pytest.mark.parametrize(
    ("table", "body", "expected"),
    [
        ("ICBHI_Challenge_diagnosis.txt", PAGE, "is not a table"),
        ("ICBHI_Challenge_diagnosis.txt", b"", "it is empty"),
        ("ICBHI_Challenge_demographic_information.txt", PAGE, "is not a table"),
        ("ICBHI_Challenge_diagnosis.txt", b", ;\n", "is not a table"),
        ("ICBHI_Challenge_diagnosis.txt", b"999\tURTI\n", "no label"),
    ],
)
def test_a_web_page_instead_of_a_table_is_an_error_and_keeps_raw(
    table: str,
    body: bytes,
    expected: str,
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
    with pytest.raises(DataError, match=expected) as caught:
        raw_from(None, dataset)
    assert caught.value.where.startswith(".cache/downloads") and " again" in caught.value.next_step
    assert caught.value.where.endswith(table) or expected != "is not a table"
    assert content_of(Path("data/icbhi/raw")) == before
    server.put(f"/{table}", (official_copy / table).read_bytes(), etag='"right"')
    assert content_of(raw_from(None, dataset)) == content_of(official_copy)  # without removing anything


def test_two_different_files_of_the_same_name_and_size_are_an_error(official_copy: Path, content_of: Contents) -> None:
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


def test_a_table_in_both_layouts_is_an_error_if_they_disagree(official_copy: Path, other_copy: Path) -> None:
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
def test_an_error_names_the_file_of_the_user(
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


def test_a_zip_without_a_required_table_is_an_error(
    official_copy: Path, tmp_path: Path, zip_of: Zip, content_of: Contents
) -> None:
    complete = content_of(official_copy)
    table = official_copy / "ICBHI_Challenge_diagnosis.txt"
    folder = tmp_path / "both"
    folder.mkdir()
    table.rename(folder / table.name)
    archive = zip_of(official_copy, tmp_path / "copy.zip")
    with pytest.raises(DataError, match=r"ICBHI_Challenge_diagnosis\.txt") as caught:
        raw_from(str(archive))
    assert caught.value.where == str(archive) and "folder" in caught.value.next_step
    archive.rename(folder / archive.name)
    assert content_of(raw_from(str(folder))) == complete  # the advice of the message works


def test_a_full_disk_while_unpacking_is_not_reported_as_a_damaged_archive(
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
def test_a_wrong_source_is_an_error_and_keeps_raw(
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
