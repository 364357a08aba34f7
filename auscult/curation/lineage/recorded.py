"""What a revision records of its outputs, and those outputs read from DVC's cache or its remote."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.errors import AuscultError, DataError
from auscult.versioning.commands import CommandError, git
from auscult.versioning.lockfile import LOCK, DamagedError, parse, stages

if TYPE_CHECKING:
    from dvc.repo import Repo

_ELSEWHERE = "compare another revision"
#: In DVC's own lists of a folder's files.
_FOLDER = ".dir"


def dataset_at(root: Path, commit: str, revision: str) -> str:
    """The data set that a commit's ``params.yaml`` names.

    Raises
    ------
    AuscultError
        It names none, or there is no such file: the pipeline was not there yet.
    """
    file = str(parameters.FILE)
    text = _show(root, commit, file)
    if text is None:
        raise AuscultError(
            f"{revision} has no {file}: the pipeline was not there yet",
            where=f"{revision}:{file}",
            next_step="compare a later revision",
        )
    try:
        content = parse(text)
    except DamagedError as error:
        raise _damaged(f"{revision}:{file}", str(error)) from error
    name = content.get("dataset") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise AuscultError(f"{file} of {revision} names no data set", where=f"{revision}:{file}", next_step=_ELSEWHERE)
    return name


def recorded_outs(root: Path, commit: str, revision: str) -> dict[str, str]:
    """Output → its MD5 in DVC's storage, of all stages in a commit's ``dvc.lock``.

    Raises
    ------
    DataError
        There is no lock, or it is damaged.
    """
    text, where = _show(root, commit, str(LOCK)), f"{revision}:{LOCK}"
    if text is None:
        raise DataError(
            f"{revision} was never reproduced: it has no {LOCK}",
            where=where,
            next_step="compare a revision that has one, or dvc repro there and commit it",
        )
    try:
        outs = [out for stage in stages(text).values() for out in stage.get("outs", ())]
        return {out["path"]: out["md5"] for out in outs if "md5" in out}
    except DamagedError as error:
        raise _damaged(where, str(error)) from error
    except (KeyError, TypeError) as error:
        raise _damaged(where, "its stages do not list their outputs") from error


class Storage:
    """DVC's cache, then its default remote: outputs by their MD5, read and not kept.

    Parameters
    ----------
    root
        Of the repository, whose settings say where the cache and the remote are.
    revision
        As messages call it.
    outs
        Of :func:`recorded_outs`.

    Raises
    ------
    AuscultError
        There is no DVC repository at *root*.
    """

    def __init__(self, root: Path, revision: str, outs: dict[str, str]) -> None:
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo

        try:
            self._repo: Repo = Repo(str(root))
        except NotDvcRepoError as error:
            raise AuscultError(
                "this is no DVC repository", where=str(root), next_step="name the repository's root"
            ) from error
        self._revision, self._outs = revision, outs

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    def read(self, path: Path) -> bytes:
        """A file that is an output, or lies in a folder that is one.

        Raises
        ------
        DataError
            The revision records none, or it is neither in the cache nor in the remote.
        """
        for out in (path, *path.parents):
            if md5 := self._outs.get(out.as_posix()):
                content = self._object(md5, out)
                if not md5.endswith(_FOLDER):
                    return content
                return self._in_folder(json.loads(content), path, path.relative_to(out).as_posix())
        raise self._unrecorded(path)

    def _in_folder(self, listed: list[dict[str, str]], path: Path, inside: str) -> bytes:
        for entry in listed:
            if PurePosixPath(entry["relpath"]).as_posix() == inside:
                return self._object(entry["md5"], path)
        raise self._unrecorded(path)

    def _object(self, md5: str, path: Path) -> bytes:
        cache = self._repo.cache.local
        with suppress(FileNotFoundError):
            return Path(cache.oid_to_path(md5)).read_bytes()
        remote = self._repo.config["core"].get("remote")
        if not remote:
            why = "is not in DVC's cache, and there is no default remote"
            raise self._missing(path, why, "dvc remote add -d NAME URL, where it was pushed to")
        try:
            storage = self._repo.cloud.get_remote_odb(remote)
            with storage.fs.open(storage.oid_to_path(md5), "rb") as file:
                content: bytes = file.read()
                return content
        except FileNotFoundError as error:
            why = f"is neither in DVC's cache nor in the remote {remote!r}"
            pushed = f"git checkout {self._revision} && dvc push, where it was made (--all-commits pushes no older one)"
            raise self._missing(path, why, pushed) from error
        except Exception as error:  # each kind of storage has errors of its own
            raise DataError(
                f"{path} of {self._revision} is not in DVC's cache, and the remote {remote!r} cannot be read: {error}",
                where=f"{self._revision}:{LOCK}",
                next_step="dvc remote list; mend its address or your access, and run the same command again",
            ) from error

    def _missing(self, path: Path, why: str, remedy: str) -> DataError:
        if withdrawals.read(path.parts[1], Path(self._repo.root_dir)):  # data/<dataset>/…
            remedy = (
                f"data clear may have removed it for good, for a withdrawal (docs/withdrawals.md); if not: {remedy}"
            )
        return DataError(
            f"{path} of {self._revision} {why}",
            where=f"{self._revision}:{LOCK}",
            next_step=f"{remedy}; or make it again: git checkout {self._revision} && dvc repro split",
        )

    def _unrecorded(self, path: Path) -> DataError:
        return DataError(
            f"{path} is no output that {self._revision} records", where=f"{self._revision}:{LOCK}", next_step=_ELSEWHERE
        )


def _show(root: Path, commit: str, file: str) -> str | None:
    """A file of a commit beside *root*, ``None`` where the commit has none."""
    try:
        return git(root, "show", f"{commit}:./{file}")
    except CommandError:
        return None


def _damaged(where: str, why: str) -> DataError:
    return DataError(f"{where} is damaged: {why}", where=where, next_step=_ELSEWHERE)
