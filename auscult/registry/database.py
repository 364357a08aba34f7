"""Open MLflow's database, or say in one message why it cannot be used and which command keeps the registry."""

from __future__ import annotations

import logging
import os
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core.errors import AuscultError
from auscult.core.paths import CACHE_DIR

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_REVISION = "select version_num from alembic_version"
_TABLES = "select name from sqlite_master where type = 'table'"


def connect(database: Path) -> MlflowClient:
    """Return MLflow's client of a database, which is made if it does not exist.

    Raises
    ------
    AuscultError
        It is damaged, in use, unreadable, or of another version of MLflow.
    """
    database = database.resolve()
    tables, revision = _content(database) if database.exists() else (frozenset(), "")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if tables:
        _check_schema(database, tables, revision)
    try:
        return MlflowClient(f"sqlite:///{database}", f"sqlite:///{database}")
    except MlflowException as error:
        raise _damaged(database, str(error).partition("\n")[0]) from error


def _content(database: Path) -> tuple[frozenset[str], str]:
    """Return the tables and the revision of the schema; both empty if the file is.

    Read before MLflow opens it: MLflow tries a file that is no database ten times, for minutes. Not read-only, as
    SQLite first undoes what a killed process left.
    """
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=20)) as connection:
            (said,) = connection.execute("pragma quick_check(1)").fetchone()
            if said != "ok":
                raise _damaged(database, said)
            tables = frozenset(str(name) for (name,) in connection.execute(_TABLES))
            found = connection.execute(_REVISION).fetchone() if "alembic_version" in tables else None
    except sqlite3.OperationalError as error:
        raise AuscultError(
            f"MLflow's database cannot be opened: {error}",
            where=str(database),
            next_step="end the process that uses it, or make the file and its folder readable and writable; then the"
            " same command again",
        ) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(database, str(error)) from error
    return tables, str(found[0]) if found else ""


def _check_schema(database: Path, tables: frozenset[str], revision: str) -> None:
    import mlflow
    from alembic.script import ScriptDirectory
    from mlflow.store.db.base_sql_model import Base

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store/db_migrations"))
    if revision == scripts.get_current_head():
        if missing := set(Base.metadata.tables) - tables:
            raise _damaged(database, f"it lacks the tables {', '.join(sorted(missing)[:3])}")
    elif revision in {script.revision for script in scripts.walk_revisions()}:
        copy, uri = (shlex.quote(text) for text in (f"{database}.before", f"sqlite:///{database}"))
        raise AuscultError(
            f"MLflow's database was written by an MLflow older than {mlflow.__version__}, which is installed here",
            where=str(database),
            next_step=f"cp {shlex.quote(str(database))} {copy} && mlflow db upgrade {uri}; then the same command again",
        )
    elif revision:
        raise AuscultError(
            f"MLflow's database was written by another MLflow than {mlflow.__version__}, which is installed here and"
            " does not know its schema; it is probably newer",
            where=f"{database}, schema {revision}",
            next_step=f"use it in the environment that wrote it; or, for a new one: {_anew(database, 'other')}",
        )
    else:
        raise _damaged(database, "it has tables, and none that says the version of MLflow")


def _damaged(database: Path, why: str) -> AuscultError:
    return AuscultError(
        f"MLflow's database is damaged: {why}",
        where=str(database),
        next_step=f"put a copy of it in its place; or, without one: {_anew(database, 'damaged')}",
    )


def _anew(database: Path, kind: str) -> str:
    """Return the commands that keep the file, with what SQLite wrote beside it, and make the registry again."""
    kept = shlex.quote(str(database.parent / CACHE_DIR / f"mlflow-{kind}"))
    return (
        f"mkdir -p {kept} && mv {shlex.quote(str(database))}* {kept} && auscult models restore (the models in service,"
        " from git and DVC), then auscult models track (those of the workspace)"
    )
