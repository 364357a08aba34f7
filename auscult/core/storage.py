"""Read and write the file formats of the pipeline: arrays, tables, JSON.

Everything is written to a temporary name beside its target and renamed when complete, so
readers never see a partial file and a killed stage keeps the previous one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.core.errors import DataError, refused_by_machine

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces *target* when the block ends without an error.

    After an error or a kill an existing *target* is unchanged.
    """
    with _naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(target)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            yield scratch
            _open_to_all(scratch, 0o755)
            if target.exists():
                old = scratch.with_suffix(".old")
                target.rename(old)
                scratch.rename(target)
                shutil.rmtree(old)
            else:
                scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces *target* when the block ends without an error."""
    with _naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        scratch = Path(name)
        try:
            yield scratch
            _open_to_all(scratch, 0o644)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)


@contextmanager
def copying_content_only() -> Iterator[None]:
    """Let :mod:`shutil` copy files whose modes and times cannot be copied.

    Libraries such as MLflow copy with :func:`shutil.copy2`, which fails on a share that refuses ``chmod``.
    """
    copystat = shutil.copystat

    def tolerant(*arguments: Any, **options: Any) -> None:
        with suppress(PermissionError):
            copystat(*arguments, **options)

    shutil.copystat = tolerant
    try:
        yield
    finally:
        shutil.copystat = copystat


def sweep_leftovers(target: Path) -> None:
    """Remove temporary files of killed runs beside *target*; restore a *target* that a kill left renamed."""
    for old in target.parent.glob(f".{target.name}.*.old"):
        if not target.exists():
            old.rename(target)
    for pattern in (f".{target.name}.*.part", f".{target.name}.*.old"):
        for leftover in target.parent.glob(pattern):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Raise what the machine refuses as an error that names *target*."""
    try:
        yield
    except OSError as error:
        raise _named(error, target) from error


def _named(error: OSError, target: Path) -> Exception:
    """Return the error for the user; it names *target* instead of its temporary file."""
    ours = error.filename is None or f".{target.name}." in str(error.filename)
    return refused_by_machine(error, target if ours else None) or error


def _open_to_all(scratch: Path, mode: int) -> None:
    """Give a temporary file or folder the usual mode; a share without modes (exFAT, CIFS) refuses, and needs none."""
    with suppress(PermissionError, NotImplementedError):
        scratch.chmod(mode)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, atomically."""
    with replacing_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON atomically; raise ``ValueError`` for NaN."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Load JSON; raise ``DataError`` if the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _missing(path) from error
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON: {error}", where=str(path), next_step="dvc checkout, or dvc repro --force"
        ) from error


def write_table(path: Path, table: pd.DataFrame, columns: Mapping[str, tuple[str, str]]) -> None:
    """Write a table as Parquet, atomically, with exactly the documented columns and types.

    The descriptions of the columns are stored in the schema metadata.

    Parameters
    ----------
    columns
        Name → (type, description); types are string, int64, Int64 (may be empty), float64 and bool.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "Int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }
    unknown = set(table.columns) ^ set(columns)
    if unknown:
        raise ValueError(f"{path.name}: columns differ from the documented ones: {sorted(unknown)}")
    fields = [pa.field(name, types[kind], metadata={"description": text}) for name, (kind, text) in columns.items()]
    arrow = pa.Table.from_pandas(table[list(columns)], schema=pa.schema(fields), preserve_index=False)
    with replacing_file(path) as scratch:
        pq.write_table(arrow.replace_schema_metadata(None), scratch, compression="zstd")


def read_table(path: Path) -> pd.DataFrame:
    """Load a Parquet table; raise ``DataError`` if it is missing or unreadable."""
    import pandas as pd
    import pyarrow as pa

    if not path.exists():
        raise _missing(path)
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a readable Parquet table: {error}", where=str(path), next_step="dvc checkout"
        ) from error


class ArrayWriter:
    """Write a ``.npy`` array row by row, in bounded memory.

    Parameters
    ----------
    path
        Target file; for an atomic write put it into a temporary folder.
    shape
        Final shape; rows are appended in order.

    Notes
    -----
    The pages of a memory map would count as memory of the process and grow with the data.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str = "<f4") -> None:
        import numpy as np

        self._dtype = np.dtype(dtype)
        self._remaining = int(np.prod([int(n) for n in shape], dtype=np.int64))
        self._file = path.open("wb", buffering=1 << 20)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": tuple(int(n) for n in shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: NDArray[Any]) -> None:
        """Append values in C order, of any shape."""
        import numpy as np

        block = np.ascontiguousarray(rows, dtype=self._dtype)
        self._remaining -= block.size
        if self._remaining < 0:
            raise ValueError("more values than the declared shape holds")
        self._file.write(block.data if block.size else b"")

    def close(self) -> None:
        """Close the file; raise ``ValueError`` if values are missing."""
        self._file.close()
        if self._remaining:
            raise ValueError(f"{self._remaining} values of the declared shape were not written")

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def open_array(path: Path) -> NDArray[np.float32]:
    """Open a ``.npy`` array as a read-only memory map, without pickle support."""
    import numpy as np

    if not path.exists():
        raise _missing(path)
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        shape, _, _ = (
            np.lib.format.read_array_header_1_0(file)
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0(file)
        )
    if 0 in shape:  # an empty file cannot be mapped
        return np.zeros(shape, dtype=np.float32)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _missing(path: Path) -> DataError:
    return DataError(
        f"{path} does not exist",
        where=str(path),
        next_step="create it with: auscult run (in the root of the repository)",
    )
