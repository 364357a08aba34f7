"""The data set as downloaded and its additions as one; no addition ever harms the download.

Of two additions that contradict each other the one whose name comes first counts: nothing in them tells which is
older. ``auscult.curation.additions`` lets no such second one in, so that this takes two people who add apart from each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from auscult.core.paths import Paths
from auscult.core.reject_reasons import Problem
from auscult.core.sections import ValidateParams
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset
from auscult.validation.additions import batches, check_unchanged
from auscult.validation.manifest import Examined, examine_all


@dataclass
class Present:
    """What is there when an addition comes.

    Attributes
    ----------
    ids
        Recording → what it came with, in words; those that were set aside count as well.
    audio
        ``audio_sha256`` → recording. Of those that were set aside only copies count: the same sound under
        one more name does not tell whose it is.
    """

    ids: dict[str, str] = field(default_factory=dict)
    audio: dict[str, str] = field(default_factory=dict)

    def take(self, examined: Sequence[Examined]) -> None:
        """Count these as present from now on."""
        for item in examined:
            name = item.recording.recording_id
            self.ids.setdefault(name, came_with(item.batch))
            if item.audio is not None and {problem.reason for problem in item.problems} <= {"duplicate_audio"}:
                self.audio.setdefault(item.audio.audio_sha256, name)

    def judge(self, item: Examined) -> Examined:
        """An addition's recording, set aside where its name or its audio is there already."""
        name = item.recording.recording_id
        if name in self.ids:
            problem = Problem("duplicate_id", f"{self.ids[name]} has a recording of this name")
        elif item.audio is not None and item.audio.audio_sha256 in self.audio:
            other = self.audio[item.audio.audio_sha256]
            problem = Problem("duplicate_audio", f"same audio as {other}, which is there already")
        else:
            return item
        return replace(item, problems=(*item.problems, problem))


def came_with(batch: str | None) -> str:
    """What a recording came with, in words."""
    return f"the addition {batch}" if batch else "the data set as downloaded"


def examine_merged(
    dataset: Dataset, paths: Paths, params: ValidateParams, workers: int, withdrawn: Withdrawals | None = None
) -> list[Examined]:
    """Every recording of the download and, batch by batch in the order of their names, of the additions.

    Raises
    ------
    DataError
        A batch is missing, not tracked, or not what its name stands for.
    """
    folders = batches(paths.added)  # what is missing is said before anything is decoded
    for folder in folders:
        check_unchanged(folder)
    examined = examine_all(dataset, paths.raw, params, workers, withdrawn=withdrawn)
    present = Present()
    present.take(examined)
    for folder in folders:
        added = examine_all(dataset, folder, params, workers, batch=folder.name, withdrawn=withdrawn)
        found = [present.judge(item) for item in added]
        present.take(found)
        examined += [_named(item) for item in found]
    return sorted(examined, key=lambda item: item.recording.recording_id)


def _named(item: Examined) -> Examined:
    """The same with the batch in every problem: a name alone may stand for two recordings."""
    problems = (Problem(p.reason, f"{p.detail} (addition {item.batch})") for p in item.problems)
    return replace(item, problems=tuple(problems))
