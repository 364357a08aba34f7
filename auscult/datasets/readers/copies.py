"""Find the files of a data set in a user's copy."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from auscult.core.errors import LayoutError
from auscult.core.identifiers import normal

#: File name extensions of audio, in order of preference.
AUDIO_ENDINGS = (".wav", ".flac")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below *folder* by depth, then by name, without hidden files and ``__MACOSX``.

    Each linked folder is followed once, so that a loop of links ends.
    """
    level, seen = [folder], {os.path.realpath(folder)}
    while level:
        deeper: list[Path] = []
        for parent in level:
            for entry in sorted(os.scandir(parent), key=lambda entry: entry.name):
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                path = Path(entry.path)
                if entry.is_file():
                    yield path
                elif entry.is_dir() and (real := os.path.realpath(path)) not in seen:
                    seen.add(real)
                    deeper.append(path)
        level = deeper


def same_bytes(target: str, one: Path, other: Path) -> bool:
    """Return whether two files are equal; name and size may agree although one was processed."""
    return filecmp.cmp(one, other, shallow=False)


def gather(
    pairs: Iterable[tuple[str, Path]], source: Path, same: Callable[[str, Path, Path], bool] = same_bytes
) -> dict[str, Path]:
    """Return (path in the raw folder, file) pairs as a mapping, without duplicates of a file.

    Parameters
    ----------
    same
        Whether two files for a path in the raw folder (the first argument) are copies of each other.

    Raises
    ------
    LayoutError
        If two different files have the same path; both are named.
    """
    found: dict[str, Path] = {}
    for target, path in pairs:
        first = found.setdefault(target, path)
        if first != path and not same(target, first, path):
            raise LayoutError(
                f"there are two different files for {target.rpartition('/')[2]}: {first} and {path}",
                where=str(source),
                next_step="give a source with one copy of the data set",
            )
    return dict(sorted(found.items()))


def prefer_wav(found: dict[str, Path]) -> dict[str, Path]:
    """Drop other encodings of recordings that have a ``.wav`` file."""
    return {
        target: path
        for target, path in found.items()
        if target.endswith(".wav") or not is_audio(target) or f"{target.rsplit('.', 1)[0]}.wav" not in found
    }


def is_audio(name: str) -> bool:
    """Return whether a file name has an extension of audio."""
    return name.lower().endswith(AUDIO_ENDINGS)


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """Return the audio files of a folder by recording; ``.wav`` before ``.flac``."""
    found: dict[str, Path] = {}
    for ending in AUDIO_ENDINGS:
        found = by_stem(folder, ending) | found
    return found


def by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """Return the files of a folder with this extension by recording id: the name without it, in its normal form."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() == ending and not path.name.startswith("."):
            found.setdefault(normal(path.stem), path)
    return found


def normal_path(place: str) -> str:
    """Return a path by which a table and a folder agree: forward slashes, every name in the normal form of ids.

    Examples
    --------
    >>> normal_path("./left/first .wav ")
    'left/first.wav'
    """
    path = PurePosixPath(place.replace("\\", "/").strip())
    names = [normal(name) for name in path.parts[:-1]] + [normal(path.stem) + path.suffix]
    return "/".join(names) if place else ""
