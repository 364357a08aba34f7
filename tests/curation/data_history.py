"""A small repository with versions of a data set, recorded by DVC itself; no stage ever runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.paths import Paths
from auscult.core.withdrawals import Withdrawals
from auscult.validation.additions import batch_name, checksums
from tests.flows.repositories import git, make
from tests.validation.small_data_set import AUDIO, name_of

PATHS = Paths("sample")
MANIFEST = PATHS.manifest.as_posix()
GRAPH = f"""
stages:
  download:
    cmd: download
    outs: [{PATHS.raw}]
  validate:
    cmd: validate
    deps: [{PATHS.raw}]
    outs: [{MANIFEST}/recordings.parquet, {MANIFEST}/rejects.parquet, {MANIFEST}/tasks.json]
  train:
    cmd: train
    deps: [{MANIFEST}/recordings.parquet]
    outs: [models/sample/x/model.json, models/sample/x/weights]
  combine:
    cmd: combine
    deps: [{MANIFEST}/recordings.parquet]
    outs: [{PATHS.all_combined}]
"""


def dvc(root: Path, *arguments: str) -> str:
    """Run DVC and return what it prints."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def repository(folder: Path) -> Path:
    """Create the repository, without a version yet; DVC's state database lies in ``folder/site``."""
    root = make(folder / "root", remote=False)
    (root / "dvc.yaml").write_text(GRAPH)
    with (root / ".gitignore").open("a") as file:
        file.write("/data/*/raw\n/data/*/manifest\n/models\n/data/added/*/????????????\n")
    config = root / ".dvc/config"
    config.write_text(f"[core]\n    analytics = false\n    site_cache_dir = {folder / 'site'}\n")
    return root


def version(root: Path, *patients: int, named: Mapping[str, str] | None = None, rejects: Sequence[str] = ()) -> str:
    """Record and commit outputs made of these patients' recordings; return the commit.

    Parameters
    ----------
    named
        Recording → patient, of those that came with an addition with tables.
    rejects
        Rejected recordings.
    """
    named = named or {}
    for patient in range(101, 110):
        for ending in ("wav", "txt"):
            file = root / PATHS.raw / AUDIO / f"{name_of(patient)}.{ending}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            if patient in patients:
                file.write_text(f"{ending} of {patient}")
    write(root / PATHS.raw / "ICBHI_Challenge_diagnosis.txt", "".join(f"{p}\tCOPD\n" for p in patients))
    manifest = root / PATHS.manifest
    manifest.mkdir(parents=True, exist_ok=True)
    whose = {name_of(patient): str(patient) for patient in patients} | named
    table = {"recording_id": list(whose), "patient_id": list(whose.values()), "sha256": [f"{n:0>64}" for n in whose]}
    rejected = pd.DataFrame({"recording_id": list(rejects)})
    for name, content in {"recordings": pd.DataFrame(table), "rejects": rejected}.items():
        (manifest / f"{name}.parquet").unlink(missing_ok=True)
        content.to_parquet(manifest / f"{name}.parquet")
    write(manifest / "tasks.json", "[]")
    write(root / "models/sample/x/model.json", json.dumps({"learned_from": keys(patients)}))
    write(root / "models/sample/x/weights/fold-0", " ".join([f"weights {patients}", *sorted(named)]))
    write(root / PATHS.all_combined / "y/model.json", f"copy of the weights of {patients}")
    dvc(root, "commit", "--quiet", "--force")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"{len(patients)} patients")
    return git(root, "rev-parse", "HEAD")


def batch(root: Path, whose: Mapping[str, str]) -> Path:
    """Record, without a commit, an addition with tables of these recordings → patients."""
    scratch = root / "scratch"
    described = "".join(f"{name}.wav,{patient},{name},COPD,Meditron,Tc,,\n" for name, patient in whose.items())
    header = "file,patient_id,recording_id,label,device,location,age_years,sex\n"
    write(scratch / "recordings.csv", header + described)
    write(scratch / "segments.csv", "recording_id,start_s,end_s,label\n" + "".join(f"{n},1,2,both\n" for n in whose))
    for name in whose:
        write(scratch / f"{name}.wav", f"wav of {name}")
    target = root / PATHS.added / batch_name(checksums(scratch))
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch.rename(target)
    dvc(root, "add", "--quiet", str(target))
    return target


def write(path: Path, text: str) -> None:
    """Write a new file, never through a link into DVC's cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)


def keys(patients: Iterable[int | str]) -> list[str]:
    return sorted(patient_key("sample", str(patient)) for patient in patients)


def withdrawn(*patients: int | str) -> Withdrawals:
    return Withdrawals("sample", dict.fromkeys(keys(patients), "2026-11-25"))


def withdraw(root: Path, *patients: int | str) -> Withdrawals:
    """Write and commit the table of withdrawals; return it."""
    withdrawals.write(withdrawn(*patients), root)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "withdrawn")
    return withdrawn(*patients)


def objects(place: Path) -> set[str]:
    """Return the MD5 of the objects in a cache or a remote."""
    return {path.parent.name + path.name for path in (place / "files/md5").glob("*/*")}


def content(place: Path) -> str:
    """Return the content of a cache or a remote as text."""
    return "\n".join(path.read_bytes().decode(errors="replace") for path in (place / "files/md5").glob("*/*"))
