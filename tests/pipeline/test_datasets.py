"""Another data set from the user's own copy, and back: each keeps its outputs and MLflow runs."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

from tests.pipeline.workspace import SMALL, lock, repro, set_params


def runs(folder: Path) -> Counter[str]:
    """Return the number of MLflow's parent runs per data set."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        query = (
            "select e.name from runs r join experiments e using (experiment_id) where r.lifecycle_stage = 'active'"
            " and not exists (select 1 from tags t where t.run_uuid = r.run_uuid and t.key = 'mlflow.parentRunId')"
        )
        return Counter(name for (name,) in database.execute(query))


def test_another_data_set_and_back(copy: Path, tmp_path: Path) -> None:
    """The sample's recordings stand in for a user's copy of ICBHI: layout, names and tables are the same."""
    mine = tmp_path / "my copy of icbhi"
    shutil.copytree(copy / "data/sample/raw", mine)
    sample, models = lock(copy), sorted((copy / "models/sample").rglob("*"))
    ours = runs(copy)["sample"]
    set_params(copy, {"experiments": {"abnormal_logmel_cnn2d": SMALL["experiments"]["abnormal_logmel_cnn2d"]}})

    done = repro(copy, "--dataset", "icbhi", "--source", str(mine))
    assert "reports/icbhi/index.html" in done.stdout
    assert (copy / "models/icbhi/abnormal_logmel_cnn2d/model.json").exists()
    assert str(mine) not in (copy / "dvc.lock").read_text() + (copy / "params.yaml").read_text()
    assert lock(copy)["download"] != sample["download"]
    assert sorted((copy / "models/sample").rglob("*")) == models
    assert runs(copy) == {"sample": ours, "icbhi": 1}, "what was tracked is not tracked again"

    broken = copy / "stages/train.py"
    text = broken.read_text()
    broken.write_text("raise SystemExit(1)\n")
    failed = repro(copy, "--dataset", "sample", check=False)
    assert failed.returncode == 2
    assert sorted((copy / "models/sample").rglob("*")) == models, "the last good model is back, though icbhi ran since"

    assert "rm -r" not in done.stdout
    broken.write_text(text)
    shutil.rmtree(mine)
    done = repro(copy, "--dataset", "icbhi")
    # git keeps the card, so DVC does not restore it after another data set.
    assert set(re.findall(r"Running stage '([^']+)'", done.stdout)) <= {"download", "describe"}
    assert f"{mine} does not exist" in done.stdout, "the copy is gone"
    assert (copy / "data/icbhi/raw").is_dir(), "the recordings are kept"
    assert runs(copy) == {"sample": ours, "icbhi": 1}
