"""Finding a data set's files in whatever folder a user's copy lies."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from auscult.core.errors import DataError

#: Endings of audio files that copies of the data sets have, in order of preference.
AUDIO_ENDINGS = (".wav", ".flac")


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below *folder*, shallow ones first, then by name; hidden ones and archivers' litter left out.

    Linked folders are followed once, so that a loop of links ends.
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
    """Whether two files hold the same: their names and sizes may agree where one was processed."""
    return filecmp.cmp(one, other, shallow=False)


def gather(
    pairs: Iterable[tuple[str, Path]], source: Path, same: Callable[[str, Path, Path], bool] = same_bytes
) -> dict[str, Path]:
    """(path in the raw folder, file) pairs as a mapping; a copy within the copy is taken once.

    Parameters
    ----------
    same
        Whether two files that claim a place in the raw folder (the first argument) are copies of each other.

    Raises
    ------
    DataError
        They are not; both are named.
    """
    found: dict[str, Path] = {}
    for target, path in pairs:
        first = found.setdefault(target, path)
        if first != path and not same(target, first, path):
            raise DataError(
                f"two different files stand for {target.rpartition('/')[2]}: {first} and {path}",
                where=str(source),
                next_step="give a SOURCE that holds one copy of the data set",
            )
    return dict(sorted(found.items()))


def prefer_wav(found: dict[str, Path]) -> dict[str, Path]:
    """Without the other encodings of a recording whose ``.wav`` is there."""
    return {
        target: path
        for target, path in found.items()
        if target.endswith(".wav") or not is_audio(target) or f"{target.rsplit('.', 1)[0]}.wav" not in found
    }


def is_audio(name: str) -> bool:
    """Whether a file name ends like an audio file."""
    return name.lower().endswith(AUDIO_ENDINGS)


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """Audio files of one folder by name without ending; ``.wav`` before ``.flac``."""
    found: dict[str, Path] = {}
    if folder.is_dir():
        for ending in AUDIO_ENDINGS:
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() == ending and not path.name.startswith("."):
                    found.setdefault(path.stem, path)
    return found
