"""Finding a data set's files in whatever folder a user's copy lies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.errors import DataError

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


def gather(pairs: Iterable[tuple[str, Path]], source: Path) -> dict[str, Path]:
    """(path in the raw folder, file) pairs as a mapping; a copy within the copy is taken once.

    Raises
    ------
    DataError
        Two files of different size claim the same place.
    """
    found: dict[str, Path] = {}
    for target, path in pairs:
        first = found.setdefault(target, path)
        if first != path and first.stat().st_size != path.stat().st_size:
            raise DataError(
                f"two different files are named {path.name}:"
                f" {first.relative_to(source)} and {path.relative_to(source)}",
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
