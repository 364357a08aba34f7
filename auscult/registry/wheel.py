"""The wheel of this library that is logged with a model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import replacing_folder

#: Root of the source tree that is running; an installed library has no ``pyproject.toml`` beside it.
_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = "auscult"
_BESIDE = ("pyproject.toml", "README.md", "LICENSE")
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def library_version() -> str:
    """Return the version of the library, as its wheel has it."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        import tomllib

        project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return str(project["version"])


def build_wheel(folder: Path = CACHE_DIR / "wheels") -> Path | None:
    """Build the wheel of the code that is running, once per content of that code.

    Parameters
    ----------
    folder
        Where wheels are kept, below a digest of their sources.

    Returns
    -------
    Path or None
        ``None`` where the library is installed without its sources: its version says which wheel it is.

    Raises
    ------
    AuscultError
        setuptools could not build it.
    """
    if not (_ROOT / _BESIDE[0]).exists():
        return None
    sources = [path for path in sorted((_ROOT / _PACKAGE).rglob("*")) if path.suffix in (".py", ".html")]
    sources += [_ROOT / name for name in _BESIDE if (_ROOT / name).exists()]
    key = digest({path.relative_to(_ROOT).as_posix(): file_sha256(path) for path in sources})
    target = folder.resolve() / key
    if not target.is_dir():
        with tempfile.TemporaryDirectory() as scratch, replacing_folder(target) as made:
            for path in sources:  # a copy: setuptools leaves build folders beside what it builds
                copy = Path(scratch) / path.relative_to(_ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
            command = [sys.executable, "-c", _BUILD, str(made.resolve())]
            done = subprocess.run(command, cwd=scratch, capture_output=True, check=False)
            if done.returncode != 0:
                last = "\n".join(f"    {line}" for line in done.stderr.decode(errors="replace").splitlines()[-10:])
                raise AuscultError(
                    f"the wheel of this library could not be built:\n{last}",
                    where=str(_ROOT),
                    next_step="mend what it says, then: auscult models track",
                )
    return next(target.glob("*.whl"))
