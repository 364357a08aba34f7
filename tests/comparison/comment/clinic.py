"""A pull request from a fork or not, its run, and what the run uploaded."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from auscult.comparison.comment import event
from auscult.comparison.comment.__main__ import tell
from auscult.comparison.comment.github import GitHub
from auscult.comparison.document import Comparison, Experiment, Figure, Part, Side
from tests.comparison.comment.server import REPOSITORY, FakeGitHub

HEAD, BASE = "a1" * 20, "b2" * 20
RUN_PAGE = f"https://github.example/{REPOSITORY}/actions/runs/55"


def comparison(**changes: Any) -> Comparison:
    """A small one, in which the one experiment became better."""
    figure = Figure("score", 0.71, 0.82, 0.03, 0.19, "better", "")
    part = Part("validation", 40, 40, 40, 12, ("normal", "abnormal"), (figure,), ((15, 5), (7, 13)), ((17, 3), (4, 16)))
    fields: dict[str, Any] = {
        "schema": 1,
        "dataset": "sample",
        "base": Side("main", BASE, False, ""),
        "head": Side("HEAD", HEAD, False, ""),
        "confidence": 0.95,
        "shared_by": 1,
        "resamples": 500,
        "experiments": (Experiment("abnormal_logmel_cnn2d", "abnormal", "compared", "measured", "", (part,)),),
        "parameters": (),
        "data": None,
        "stages": (),
        "sizes": (),
        "faults": (),
    }
    return Comparison(**(fields | changes))


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A zip as GitHub stores artifacts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return made.getvalue()


def packed(document: Comparison | dict[str, Any]) -> bytes:
    """The archive of a comparison."""
    plain = document if isinstance(document, dict) else asdict(document)
    return archive(("comparison.json", json.dumps(plain).encode()))


@dataclass
class Clinic:
    """A repository on the local server, and one run that ended."""

    github: FakeGitHub
    folder: Path
    run: dict[str, Any]
    waited: list[float] = field(default_factory=list)

    def event(self) -> Path:
        """The file that GitHub writes for the workflow."""
        path = self.folder / "event.json"
        path.write_text(json.dumps({"repository": {"full_name": REPOSITORY}, "workflow_run": self.run}))
        return path

    def tell(self) -> list[str]:
        """Post or update the comment; what the comments say afterwards."""
        tell(GitHub(self.github.address, "a-token", self.waited.append), event.read(self.event()))
        return self.github.bodies()
