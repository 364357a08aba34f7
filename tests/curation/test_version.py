"""The tables of a version: from a folder, and from a revision with outputs in DVC's cache or remote."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.errors import AuscultError, DataError
from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS
from auscult.core.storage import write_json, write_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.diff.difference import diff
from auscult.curation.diff.formats import text
from auscult.curation.diff.version import at_folder, at_revision
from tests.curation.version_tables import make_version, without
from tests.pipeline.workspace import ROOT, set_params

#: A graph of one stage whose outputs are tracked as those of the pipeline are: files, and a folder.
GRAPH = {
    "stages": {
        "validate": {
            "cmd": "true",
            "outs": [
                {f"data/sample/manifest/{name}": {"persist": True}}
                for name in ("recordings.parquet", "segments.parquet", "rejects.parquet", "tasks.json")
            ],
        },
        "split": {"cmd": "true", "outs": [{"data/sample/split": {"persist": True}}]},
    }
}


def run(root: Path, *command: str) -> None:
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def dvc(root: Path, *arguments: str) -> None:
    run(root, sys.executable, "-m", "dvc", *arguments)


def write(root: Path, recordings: int, missing: list[str], segments_each: int = 3) -> None:
    """The outputs of a made version, where the pipeline has them."""
    version, manifest = without(make_version(recordings, segments_each), missing), root / "data/sample/manifest"
    write_table(manifest / "recordings.parquet", version.recordings, RECORDING_COLUMNS)
    write_table(manifest / "segments.parquet", version.segments, SEGMENT_COLUMNS)
    write_table(manifest / "rejects.parquet", version.rejects, REJECT_COLUMNS)
    write_json(manifest / "tasks.json", [task.to_json() for task in version.tasks])
    write_table(root / "data/sample/split/assignment.parquet", version.assignment, ASSIGNMENT_COLUMNS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository: ``bare`` without a lock, ``old`` with 24 recordings, ``new`` with 20; the workspace is ``new``."""
    root = tmp_path_factory.mktemp("versions") / "root"
    root.mkdir()
    run(root, "git", "init", "-q")
    run(root, "git", "config", "user.name", "Test")
    run(root, "git", "config", "user.email", "test@example.org")
    dvc(root, "init", "-q")
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    (root / "dvc.yaml").write_text(yaml.safe_dump(GRAPH))
    for tag, missing in (("bare", None), ("old", []), ("new", [f"p00005_{n}" for n in range(4)])):
        if missing is not None:
            write(root, 24, missing)
            dvc(root, "commit", "-q", "--force")
        run(root, "git", "add", "-A")
        run(root, "git", "commit", "-q", "-m", tag)
        run(root, "git", "tag", tag)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "root"))


def test_versions_are_read_without_changing_the_repository(root: Path) -> None:
    def seen() -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file() and ".dvc/tmp" not in path.as_posix())
        return {str(path): path.read_bytes() for path in files}

    present = seen()
    old, new, here = at_revision(root, "old"), at_revision(root, "HEAD"), at_folder(root)
    assert (len(old.recordings), len(new.recordings), len(here.recordings)) == (24, 20, 20)
    assert old.revision == "old"
    assert new.content_sha256 == here.content_sha256 != old.content_sha256
    assert here.name == f"sample-{here.content_sha256[:8]}"
    assert seen() == present


def test_parts_of_a_version_before_cross_fitting_are_no_difference(root: Path) -> None:
    """It divided what is the development part now into train and validation."""
    present = at_folder(root)
    earlier = present.assignment.copy()
    developed = earlier["part"] == "development"
    earlier.loc[developed, "part"] = "train"
    earlier.loc[developed & (earlier["fold"] == 0), "part"] = "validation"
    file = root / "data/sample/split/assignment.parquet"
    file.unlink()
    write_table(file, earlier, ASSIGNMENT_COLUMNS)
    assert at_folder(root).split_sha256 == present.split_sha256
    assert set(at_folder(root).assignment["part"]) == {"development", "test"}


def test_outputs_missing_in_the_cache_are_read_from_the_remote(root: Path, tmp_path: Path) -> None:
    dvc(root, "remote", "add", "-d", "store", str(tmp_path / "store"))
    shutil.move(root / ".dvc/cache", tmp_path / "store")
    assert len(at_revision(root, "old").recordings) == 24
    assert not (root / ".dvc/cache/files").exists(), "nothing is written"
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(DataError, match=r"neither in DVC's cache nor in the remote 'store'") as caught:
        at_revision(root, "old")
    assert "dvc push" in caught.value.next_step and "withdrawal" not in caught.value.next_step
    withdrawals.write(Withdrawals("sample", {patient_key("sample", "p00001"): "2026-11-25"}), root)
    with pytest.raises(DataError) as caught:
        at_revision(root, "old")
    assert "auscult data purge" in caught.value.next_step


def test_missing_outputs_are_named_with_the_next_command(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")
    with pytest.raises(DataError, match=r"manifest/recordings.parquet of old is not in DVC's cache, and there is no"):
        at_revision(root, "old")
    shutil.rmtree(root / "data")
    with pytest.raises(DataError, match="not in the workspace") as caught:
        at_folder(root)
    assert "dvc checkout" in caught.value.next_step


def test_revisions_without_usable_outputs_are_refused(root: Path) -> None:
    with pytest.raises(AuscultError, match="there is no revision 'nowhere'"):
        at_revision(root, "nowhere")
    with pytest.raises(DataError, match=r"bare was never reproduced"):
        at_revision(root, "bare")
    set_params(root, {"dataset": "icbhi"})
    run(root, "git", "commit", "-q", "-a", "-m", "icbhi")
    with pytest.raises(
        DataError, match=r"HEAD names the data set icbhi in params.yaml, but was reproduced with sample"
    ):
        at_revision(root, "HEAD")
    (root / "dvc.lock").write_text("<<<<<<< HEAD\nstages:\n")
    run(root, "git", "commit", "-q", "-a", "-m", "conflict")
    with pytest.raises(DataError, match=r"HEAD:dvc.lock is damaged"):
        at_revision(root, "HEAD")


def test_diff_compares_revisions_and_the_workspace(made: Path) -> None:
    assert diff("HEAD", None, made).same
    found = diff("old", "new", made)
    assert not found.same and len(found.recordings_removed) == 4
    assert "recordings removed: 4" in text(found)
