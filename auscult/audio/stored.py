"""Read ``data/<dataset>/audio``: every recording's audio in one array, with its index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core.paths import Paths
from auscult.core.sections import ResampleParams
from auscult.core.storage import read_json, read_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class StoredAudio:
    """The audio of one data set, read recording by recording.

    Attributes
    ----------
    spec
        The parameters it was made with.
    index
        ``recording_id``, ``key``, ``offset``, ``length`` in samples; sorted by ``recording_id``.

    Notes
    -----
    Plain reads, not a memory map: the pages of a map count as the process's memory.
    """

    def __init__(self, paths: Paths) -> None:
        self._path: Path = paths.audio / "audio.npy"
        self.spec = ResampleParams.model_validate(read_json(paths.audio / "spec.json"))
        self.index = read_table(paths.audio / "index.parquet")
        self._start = _payload_offset(self._path)

    def read(self, offset: int, length: int) -> NDArray[np.float32]:
        """Samples *offset* to *offset* + *length* of the array; safe in threads."""
        import numpy as np

        return np.fromfile(self._path, dtype="<f4", count=int(length), offset=self._start + 4 * int(offset))


def _payload_offset(path: Path) -> int:
    """Where the samples begin in a one-dimensional float32 ``.npy`` file."""
    import numpy as np

    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 1 or dtype != np.dtype("<f4"):
            raise ValueError(f"{path} is not an array of audio samples")
        return file.tell()
