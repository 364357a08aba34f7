"""Two clones and one remote: versions of the data are pushed, pulled and rolled back; other projects import them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from auscult.core.storage import read_table
from auscult.curation.lineage.lineage import trace
from tests.pipeline.workspace import run
from tests.validation.small_data_set import PATHS, breath, make_delivery, name_of

MODEL = "models/sample/binary_augmented_cnn1d"
NEW = [name_of(901), name_of(901, 2), name_of(902)]


@dataclass(frozen=True)
class Clones:
    """Two clones of one repository, and the repository of another project.

    Attributes
    ----------
    mine, theirs
        ``mine`` has committed and pushed the tags ``june`` and ``july``; ``theirs`` was cloned at ``june``.
    other
        An empty repository with DVC.
    outs
        Tag → path of an output → checksum, in ``mine``.
    """

    mine: Path
    theirs: Path
    other: Path
    outs: dict[str, dict[str, str]]


def outputs(folder: Path) -> dict[str, str]:
    """Checksums of everything that the pipeline wrote, metrics in git included."""
    files = [path for top in ("data", "models", "reports") for path in (folder / top).rglob("*") if path.is_file()]
    written = [path for path in files if path.suffix not in (".dvc", ".md") and path.name != ".gitignore"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(written)}


def auscult(folder: Path, *arguments: str, code: int = 0) -> str:
    """Return what ``auscult …`` prints; it must end with *code*."""
    done = run(folder, sys.executable, "-m", "auscult", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def publish(folder: Path, tag: str) -> dict[str, str]:
    """Commit, tag and push the data; returns the outputs' checksums."""
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", tag)
    run(folder, "git", "tag", tag)
    run(folder, "dvc", "push")
    return outputs(folder)


@pytest.fixture(scope="module")
def clones(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Clones:
    """The first version is the shared run's; the second has three more recordings, and one of two experiments again."""
    folder = tmp_path_factory.mktemp("clones")
    mine, theirs, other = (folder / name for name in ("mine", "theirs", "other"))
    shutil.copytree(finished, mine, symlinks=True)
    run(mine, "dvc", "remote", "add", "-d", "store", "../store")
    outs = {"june": publish(mine, "june")}
    subprocess.run(["git", "clone", "-q", str(mine), str(theirs)], check=True)
    delivery = make_delivery(folder / "delivery", {name: breath(seed) for seed, name in enumerate(NEW)})
    auscult(mine, "data", "add", str(delivery))
    run(mine, "dvc", "repro", "describe", "features", "evaluate@binary_augmented_cnn1d")
    outs["july"] = publish(mine, "july")
    other.mkdir()
    run(other, "git", "init", "-q")
    run(other, "dvc", "init", "-q")
    return Clones(mine, theirs, other, outs)


def test_a_version_is_pulled_compared_and_rolled_back_to_without_anything_running(clones: Clones) -> None:
    theirs = clones.theirs
    run(theirs, "dvc", "pull")
    assert outputs(theirs) == clones.outs["june"]
    run(theirs, "git", "pull", "-q", "--tags")
    run(theirs, "dvc", "pull")
    assert outputs(theirs) == clones.outs["july"]
    difference = json.loads(auscult(theirs, "data", "diff", "june", "--json", code=1))
    assert {name for name in NEW if name in json.dumps(difference)} == set(NEW)
    auscult(theirs, "data", "diff", "july")

    run(theirs, "git", "checkout", "-q", "june")
    run(theirs, "dvc", "checkout")
    assert outputs(theirs) == clones.outs["june"]
    assert "Running stage" not in run(theirs, "dvc", "repro").stdout
    assert outputs(theirs) == clones.outs["june"], "metrics and all"
    assert run(theirs, "git", "status", "--porcelain").stdout == ""


def test_two_versions_have_two_sets_of_metrics(clones: Clones) -> None:
    june, july = (
        {path: sums[path] for path in sums if "/evaluation.json" in path or path.startswith(MODEL)}
        for sums in (clones.outs["june"], clones.outs["july"])
    )
    assert june.keys() == july.keys()
    assert june != july


def test_another_project_imports_a_version_and_updates_it(clones: Clones) -> None:
    wanted = [str(PATHS.manifest), str(PATHS.features("logmel")), MODEL]

    def imported() -> dict[str, str]:
        places = {what: clones.other / Path(what).name for what in wanted}
        files = [(what, place, path) for what, place in places.items() for path in place.rglob("*") if path.is_file()]
        return {
            f"{what}/{path.relative_to(place)}": hashlib.sha256(path.read_bytes()).hexdigest()
            for what, place, path in files
        }

    def expected(tag: str) -> dict[str, str]:
        wholes = tuple(f"{what}/" for what in wanted)
        return {path: digest for path, digest in clones.outs[tag].items() if path.startswith(wholes)}

    for what in wanted:
        run(clones.other, "dvc", "import", "--rev", "june", str(clones.mine), what)
    assert imported() == expected("june") != {}
    run(clones.other, "dvc", "update", "--rev", "july", *(f"{Path(what).name}.dvc" for what in wanted))
    assert imported() == expected("july") != expected("june")


def test_another_project_gets_a_file_and_reads_one_without_a_copy(clones: Clones, tmp_path: Path) -> None:
    manifest = f"{PATHS.manifest}/recordings.parquet"
    run(tmp_path, "dvc", "get", str(clones.mine), manifest, "--rev", "july")
    assert set(NEW) <= set(read_table(tmp_path / "recordings.parquet")["recording_id"])
    listed = run(tmp_path, "dvc", "list", "-R", "--dvc-only", str(clones.mine), "models/sample").stdout.split()
    assert "binary_augmented_cnn1d/model.json" in listed
    script = (
        "import json, sys, dvc.api, pandas as pd\n"
        "repo, manifest, model = sys.argv[1:]\n"
        "with dvc.api.open(manifest, repo=repo, rev='june', mode='rb') as file:\n"
        "    ids = pd.read_parquet(file)['recording_id'].tolist()\n"
        "about = json.loads(dvc.api.read(f'{model}/model.json', repo=repo, rev='june'))\n"
        "print(json.dumps([ids, about['dataset'], dvc.api.params_show(repo=repo, rev='june')['dataset']]))\n"
    )
    done = run(tmp_path, sys.executable, "-c", script, str(clones.mine), manifest, MODEL)
    ids, dataset, parameter = json.loads(done.stdout)
    assert ids and not set(NEW) & set(ids)
    assert (dataset, parameter) == ("sample", "sample")


def test_the_snippets_of_the_documentation_run_in_another_project(clones: Clones, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/remotes.md").read_text(encoding="utf-8")
    alone, with_code = (block.partition("```")[0] for block in text.split("```python\n")[1:])
    for what, name in ((str(PATHS.features("logmel")), "logmel"), (MODEL, "model")):
        run(tmp_path, "dvc", "get", str(clones.mine), what, "-o", name)
    soundfile.write(tmp_path / "my.wav", breath(5), 4000)
    run(tmp_path, sys.executable, "-P", "-c", alone)  # without the code of the folder
    installed = f"PYTHONPATH={clones.mine}"  # as `pip install` of that project would have it
    assert "healthy" in run(tmp_path, "env", installed, sys.executable, "-P", "-c", with_code).stdout


def test_mlflow_and_dvc_agree_on_what_was_committed(clones: Clones) -> None:
    run(clones.mine, sys.executable, "-m", "auscult", "models", "track")
    for asked in ("binary_augmented_cnn1d", "june", "july"):
        traced = trace(clones.mine, asked)
        assert traced.disagreements == []
    (one,) = traced.data
    assert {each.experiment: [model.number for model in each.versions] for each in one.trained} == {
        "binary_augmented_cnn1d": ["2"],
    }
    name = json.loads((clones.mine / PATHS.data / "version.json").read_text())["name"]
    assert one.commit.version["name"] == name
    assert "abnormal_logmel_cnn2d" in one.not_trained, "it was not trained again"
    named = {model.number: {run.data_version for run in model.runs} for each in one.trained for model in each.versions}
    assert named == {"2": {name}}
