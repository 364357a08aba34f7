"""A delivery with real DVC: added, used by the pipeline, pushed, and the same in another clone."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from auscult.core.storage import read_table
from auscult.curation.additions import add, examine, message
from auscult.validation.additions import batch_name, checksums
from tests.pipeline.workspace import SMALL, clone, repro, run
from tests.validation.small_data_set import PATHS, breath, make_delivery, name_of

MANIFEST = PATHS.manifest / "recordings.parquet"


def tables(folder: Path) -> dict[str, str]:
    """Return checksums of what validate and split wrote."""
    files = [path for place in (PATHS.manifest, PATHS.split) for path in sorted((folder / place).iterdir())]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def changed(folder: Path) -> set[str]:
    """Return the paths that git lists as changed."""
    status = run(folder, "git", "status", "--porcelain", "--untracked-files=all").stdout
    return {line[3:] for line in status.splitlines()}


def test_an_addition_is_used_pushed_and_the_same_in_another_clone(tmp_path: Path) -> None:
    mine, theirs = clone(tmp_path / "mine", SMALL | {"download.sample.patients": 8}), tmp_path / "theirs"
    run(mine, "dvc", "remote", "add", "-d", "store", str(tmp_path / "remote"))
    run(mine, "dvc", "repro", "split")
    before = read_table(mine / PATHS.split / "assignment.parquet").set_index("recording_id")
    known = read_table(mine / MANIFEST)["patient_id"].iloc[0]
    names = [name_of(int(known), 9), name_of(901), name_of(902)]
    delivery = make_delivery(tmp_path / "delivery", {name: breath(seed) for seed, name in enumerate(names)})
    demographics = delivery / "ICBHI_Challenge_demographic_information.txt"
    demographics.write_text("".join(f"{patient}\tNA\tNA\tNA\tNA\tNA\n" for patient in (known, 901, 902)))
    examined = examine("sample", delivery, mine)
    assert examined.rejected == ()
    batch = add(examined)
    assert changed(mine) == {".dvc/config", "dvc.lock", f"data/added/sample/{batch}.dvc"}
    run(mine, "dvc", "repro", "split")
    after = read_table(mine / PATHS.split / "assignment.parquet").set_index("recording_id")
    assert set(after.index) - set(before.index) == set(names)
    assert (after.loc[before.index, ["part", "fold"]] == before[["part", "fold"]]).all().all()
    assert after.loc[names[0], "part"] == before.loc[before["patient_id"] == known, "part"].iloc[0]
    run(mine, "git", "add", "-A")
    run(mine, "git", "commit", "-q", "-m", message(examined))
    run(mine, "dvc", "push")

    subprocess.run(["git", "clone", "-q", str(mine), str(theirs)], check=True)
    refused = repro(theirs, check=False)
    assert refused.returncode == 2
    assert f"dvc pull data/added/sample/{batch}.dvc" in refused.stderr
    run(theirs, "dvc", "pull", "download", "validate", "split", f"data/added/sample/{batch}.dvc")
    assert "Running stage" not in run(theirs, "dvc", "repro", "split").stdout, "all that they depend on is the same"
    assert tables(theirs) == tables(mine)
    assert changed(theirs) == set()
    assert (theirs / "data" / read_table(theirs / MANIFEST).set_index("recording_id").loc[names[1], "path"]).is_file()

    edited = next((theirs / PATHS.added / str(batch)).rglob(f"{names[1]}.txt"))
    edited.unlink()
    edited.write_text("0.1\t3.000\t1\t1\n")
    failed = run(theirs, "dvc", "repro", "split", check=False)
    assert failed.returncode != 0 and "damaged or was edited" in failed.stdout + failed.stderr
    run(theirs, "git", "checkout", f"data/added/sample/{batch}.dvc")
    run(theirs, "dvc", "checkout", "--force", f"data/added/sample/{batch}.dvc")
    assert batch_name(checksums(theirs / PATHS.added / str(batch))) == batch
