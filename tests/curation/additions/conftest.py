"""A validated data set in a repository, and a delivery to it, made once for all tests of this folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from auscult.curation.additions import Delivery, examine
from tests.curation.additions.delivery_checks import NEW, NEWER, folder_of
from tests.validation.small_data_set import breath, make_delivery, name_of
from tests.validation.validated import make_validated


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a repository with a validated and split data set of 12 patients."""
    return make_validated(tmp_path_factory.mktemp("data-set"))


@pytest.fixture(scope="session")
def first(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """Three recordings without problems, of a known patient and of two new ones, examined once."""
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
