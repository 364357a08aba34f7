"""A pull request, its workflow run, and what the run uploaded."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from auscult.comparison.comment.__main__ import NEXT_STEPS, comment
from auscult.comparison.comment.pull_request import read_event
from auscult.comparison.document import SCHEMA, Comparison, Experiment, Metric, Part, Revision
from auscult.versioning.github import GitHub
from tests.comparison.comment.server import REPOSITORY, FakeGitHub

HEAD, BASE = "a1" * 20, "b2" * 20
RUN_PAGE = f"https://github.example/{REPOSITORY}/actions/runs/55"


def comparison(**changes: Any) -> Comparison:
    """Return a comparison with one experiment, which became better."""
    metric = Metric("score", 0.71, 0.82, 0.03, 0.19, "better", "")
    part = Part("validation", 40, 40, 40, 12, ("normal", "abnormal"), (metric,), ((15, 5), (7, 13)), ((17, 3), (4, 16)))
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "dataset": "sample",
        "base": Revision("main", BASE, False, ""),
        "head": Revision("HEAD", HEAD, False, ""),
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
    """Return a zip as GitHub stores artifacts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return made.getvalue()


def packed(document: Comparison | dict[str, Any]) -> bytes:
    """Return the archive of a comparison."""
    plain = document if isinstance(document, dict) else asdict(document)
    return archive(("comparison.json", json.dumps(plain).encode()))


@dataclass
class Scenario:
    """A repository on the local server, and one completed run."""

    github: FakeGitHub
    folder: Path
    run: dict[str, Any]
    waited: list[float] = field(default_factory=list)

    def event(self) -> Path:
        """Write the event file as GitHub does, and return its path."""
        path = self.folder / "event.json"
        path.write_text(json.dumps({"repository": {"full_name": REPOSITORY}, "workflow_run": self.run}))
        return path

    def comment(self) -> list[str]:
        """Post or update the comment, and return the bodies of all comments."""
        comment(GitHub(self.github.address, "a-token", NEXT_STEPS, self.waited.append), read_event(self.event()))
        return self.github.bodies()
