"""Two clones and one remote: a version of the data goes there and back, and other projects use what lies there."""

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
class Projects:
    """Two clones of one repository, and another project's.

    Attributes
    ----------
    mine, theirs
        Mine has committed and pushed the tags ``june`` and ``july``; theirs was cloned at ``june``.
    other
        A repository of somebody else, with DVC, and nothing in it.
    outs
        Tag → path of an output → checksum, as mine had them.
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


def flows(folder: Path, *arguments: str, code: int = 0) -> str:
    """What ``auscult …`` prints; it is to end with *code*."""
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
def projects(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Projects:
    """The first version is the shared run's; the second has three recordings more, and one experiment of two anew."""
    folder = tmp_path_factory.mktemp("projects")
    mine, theirs, other = (folder / name for name in ("mine", "theirs", "other"))
    shutil.copytree(finished, mine, symlinks=True)
    run(mine, "dvc", "remote", "add", "-d", "store", "../store")
    outs = {"june": publish(mine, "june")}
    subprocess.run(["git", "clone", "-q", str(mine), str(theirs)], check=True)
    delivery = make_delivery(folder / "delivery", {name: breath(seed) for seed, name in enumerate(NEW)})
    flows(mine, "data", "add", str(delivery))
    run(mine, "dvc", "repro", "describe", "features@logmel", "evaluate@binary_augmented_cnn1d")
    outs["july"] = publish(mine, "july")
    other.mkdir()
    run(other, "git", "init", "-q")
    run(other, "dvc", "init", "-q")
    return Projects(mine, theirs, other, outs)


def test_a_version_is_pulled_compared_and_rolled_back_to_without_anything_running(projects: Projects) -> None:
    theirs = projects.theirs
    run(theirs, "dvc", "pull")
    assert outputs(theirs) == projects.outs["june"]
    run(theirs, "git", "pull", "-q", "--tags")
    run(theirs, "dvc", "pull")
    assert outputs(theirs) == projects.outs["july"]
    difference = json.loads(flows(theirs, "data", "diff", "june", "--json", code=1))
    assert {name for name in NEW if name in json.dumps(difference)} == set(NEW)
    flows(theirs, "data", "diff", "july")

    run(theirs, "git", "checkout", "-q", "june")
    run(theirs, "dvc", "checkout")
    assert outputs(theirs) == projects.outs["june"]
    assert "Running stage" not in run(theirs, "dvc", "repro").stdout
    assert outputs(theirs) == projects.outs["june"], "metrics and all"
    assert run(theirs, "git", "status", "--porcelain").stdout == ""


def test_two_versions_have_two_sets_of_metrics(projects: Projects) -> None:
    june, july = (
        {path: sums[path] for path in sums if "/evaluation.json" in path or path.startswith(MODEL)}
        for sums in (projects.outs["june"], projects.outs["july"])
    )
    assert june.keys() == july.keys()
    assert june != july


def test_another_project_imports_a_version_and_updates_it(projects: Projects) -> None:
    wanted = [str(PATHS.manifest), str(PATHS.features("logmel")), MODEL]

    def got() -> dict[str, str]:
        places = {what: projects.other / Path(what).name for what in wanted}
        files = [(what, place, path) for what, place in places.items() for path in place.rglob("*") if path.is_file()]
        return {
            f"{what}/{path.relative_to(place)}": hashlib.sha256(path.read_bytes()).hexdigest()
            for what, place, path in files
        }

    def made(tag: str) -> dict[str, str]:
        wholes = tuple(f"{what}/" for what in wanted)
        return {path: digest for path, digest in projects.outs[tag].items() if path.startswith(wholes)}

    for what in wanted:
        run(projects.other, "dvc", "import", "--rev", "june", str(projects.mine), what)
    assert got() == made("june") != {}
    run(projects.other, "dvc", "update", "--rev", "july", *(f"{Path(what).name}.dvc" for what in wanted))
    assert got() == made("july") != made("june")


def test_another_project_gets_a_file_and_reads_one_without_a_copy(projects: Projects, tmp_path: Path) -> None:
    manifest = f"{PATHS.manifest}/recordings.parquet"
    run(tmp_path, "dvc", "get", str(projects.mine), manifest, "--rev", "july")
    assert set(NEW) <= set(read_table(tmp_path / "recordings.parquet")["recording_id"])
    listed = run(tmp_path, "dvc", "list", "-R", "--dvc-only", str(projects.mine), "models/sample").stdout.split()
    assert "binary_augmented_cnn1d/model.json" in listed
    script = (
        "import json, sys, dvc.api, pandas as pd\n"
        "repo, manifest, model = sys.argv[1:]\n"
        "with dvc.api.open(manifest, repo=repo, rev='june', mode='rb') as file:\n"
        "    ids = pd.read_parquet(file)['recording_id'].tolist()\n"
        "about = json.loads(dvc.api.read(f'{model}/model.json', repo=repo, rev='june'))\n"
        "print(json.dumps([ids, about['dataset'], dvc.api.params_show(repo=repo, rev='june')['dataset']]))\n"
    )
    done = run(tmp_path, sys.executable, "-c", script, str(projects.mine), manifest, MODEL)
    ids, dataset, parameter = json.loads(done.stdout)
    assert ids and not set(NEW) & set(ids)
    assert (dataset, parameter) == ("sample", "sample")


def test_the_snippets_of_the_documentation_run_in_another_project(projects: Projects, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/remotes.md").read_text(encoding="utf-8")
    alone, with_code = (block.partition("```")[0] for block in text.split("```python\n")[1:])
    for what, name in ((str(PATHS.features("logmel")), "logmel"), (MODEL, "model")):
        run(tmp_path, "dvc", "get", str(projects.mine), what, "-o", name)
    soundfile.write(tmp_path / "my.wav", breath(5), 4000)
    run(tmp_path, sys.executable, "-P", "-c", alone)  # without the code of the folder
    installed = f"PYTHONPATH={projects.mine}"  # as `pip install` of that project would have it
    assert "healthy" in run(tmp_path, "env", installed, sys.executable, "-P", "-c", with_code).stdout


def test_mlflow_and_dvc_agree_on_what_was_committed(projects: Projects) -> None:
    run(projects.mine, sys.executable, "-m", "auscult", "models", "track")
    for asked in ("binary_augmented_cnn1d", "june", "july"):
        traced = trace(projects.mine, asked)
        assert traced.disagreements == []
    (one,) = traced.data
    assert {each.experiment: [model.number for model in each.versions] for each in one.trained} == {
        "abnormal_logmel_cnn2d": ["1"],
        "binary_augmented_cnn1d": ["2"],
    }
    name = json.loads((projects.mine / PATHS.data / "version.json").read_text())["name"]
    assert one.commit.version["name"] == name
    named = {model.number: {run.data_version for run in model.runs} for each in one.trained for model in each.versions}
    assert named["2"] == {name} != named["1"]
