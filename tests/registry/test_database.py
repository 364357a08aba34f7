"""A database of MLflow that cannot be used: one error, with a command that keeps the registry; the file stays."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.registry import database
from auscult.registry.versions import Registry
from tests.flows.registries import fill, in_service

OLDER, NEWER = "bd07f7e963c5", "ffffffffffff"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    fill(root, 1)
    return root / "mlflow.db"


@pytest.fixture
def place(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path))


def run(*statements: str) -> Callable[[Path], None]:
    def damage(place: Path) -> None:
        with closing(sqlite3.connect(place)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return damage


def overwrite(place: Path) -> None:
    content = bytearray(place.read_bytes())
    content[8192:65536] = b"\xa5" * (65536 - 8192)
    place.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "text": lambda place: place.write_text("<html>504 Gateway Time-out</html>" * 100),
    "cut off": lambda place: place.write_bytes(place.read_bytes()[:100_000]),
    "overwritten": overwrite,
    "a table is missing": run("drop table registered_model_aliases"),
    "no version": run("drop table alembic_version"),
    "an empty version": run("delete from alembic_version"),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_database_is_one_error_with_commands_that_make_the_registry_again(place: Path, damage: str) -> None:
    DAMAGES[damage](place)
    before = place.read_bytes()
    with pytest.raises(AuscultError, match="damaged") as caught:
        Registry(place.parent)
    assert place.read_bytes() == before
    command = caught.value.next_step.partition("without one: ")[2].partition(" && auscult models restore")[0]
    subprocess.run(command, shell=True, check=True, cwd=place.parent)
    assert (place.parent / ".cache/mlflow-damaged/mlflow.db").read_bytes() == before
    assert not place.exists()


def test_a_database_of_an_older_mlflow_is_upgraded_by_the_named_command(tmp_path: Path) -> None:
    place = tmp_path / "my data" / "mlflow.db"
    place.parent.mkdir()
    write_older(place)
    before = place.read_bytes()
    with pytest.raises(AuscultError, match="older") as caught:
        Registry(place.parent)
    command = caught.value.next_step.partition("; then")[0]
    assert " && mlflow db upgrade " in command
    subprocess.run(command.replace("mlflow db", f"{sys.executable} -m mlflow db"), shell=True, check=True)
    assert Path(f"{place}.before").read_bytes() == before
    assert in_service(Registry(place.parent)) is None


def write_older(place: Path) -> None:
    """Make a database as an earlier MLflow made it."""
    import mlflow
    from alembic import command
    from alembic.config import Config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{place}")
    config = Config()
    config.set_main_option("script_location", str(Path(mlflow.__file__).parent / "store/db_migrations"))
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, OLDER)
    engine.dispose()


def test_a_database_of_a_newer_mlflow_is_left_to_it(place: Path) -> None:
    run(f"update alembic_version set version_num = '{NEWER}'")(place)
    with pytest.raises(AuscultError, match="newer") as caught:
        Registry(place.parent)
    assert "auscult models restore" in caught.value.next_step and "upgrade" not in caught.value.next_step


def test_a_database_that_another_process_uses_is_neither_damaged_nor_waited_for_without_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: connect(*given, **options | {"timeout": 0.1}))
    with closing(connect(place, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(AuscultError, match="locked") as caught:
            database.connect(place)
    assert "mv " not in caught.value.next_step


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert database.connect(tmp_path / "mlflow.db").search_registered_models() == []
