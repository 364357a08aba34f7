"""DVC's internals have one adapter; purging refuses a version of DVC that it is not tested with."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dvc
import pytest

from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.errors import AuscultError
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.purge import purge
from auscult.versioning import dvc_internals, graph
from auscult.versioning.dvc_objects import default_remote
from tests.flows.repositories import make

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_installed_version_is_a_tested_one() -> None:
    dvc_internals.check_version()


@pytest.mark.parametrize("version", ["3.66.0", "3.68.0", "4.0", "3.670.1"])
def test_check_version_refuses_other_versions(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(dvc, "__version__", version)
    with pytest.raises(AuscultError, match=re.escape(version)) as caught:
        dvc_internals.check_version()
    assert dvc_internals.TESTED in caught.value.next_step


def test_purge_refuses_an_untested_version_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    withdrawals.write(Withdrawals("sample", {patient_key("sample", "101"): "2026-11-25"}), tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(dvc, "__version__", "3.99.0")
    with pytest.raises(AuscultError, match=r"3\.99\.0"):
        purge(tell=print, root=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_does_not_depend_on_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "root", remote=False)
    (root / "dvc.yaml").write_text("stages:\n  b:\n    cmd: b\n    deps: [a]\n  a:\n    cmd: a\n    outs: [a]\n")
    monkeypatch.setattr(dvc, "__version__", "3.99.0")
    assert default_remote(root) is None
    assert graph.nodes(root) == [graph.Node("a", ()), graph.Node("b", ("a",))]


def test_a_folder_without_dvc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuscultError, match="DVC repository"):
        dvc_internals.Repository(tmp_path)


def test_no_other_module_imports_dvc() -> None:
    files = [path for folder in ("auscult", "stages", "flows") for path in (REPOSITORY / folder).rglob("*.py")]
    pattern = re.compile(r"^\s*(?:from|import) (?:dvc|dvc_\w+)\b", re.MULTILINE)
    assert [path.name for path in files if pattern.search(path.read_text(encoding="utf-8"))] == ["dvc_internals.py"]
