"""Run a registered model in its own process, with the code that it was registered with.

:func:`run_models` starts the processes and sends requests; this file, run as a script (``python -P model_process.py
PACKAGE``), responds to them. It imports the standard library only, because ``auscult`` here may be newer than the code
in the model's package. Requests and responses are lines of JSON.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__)
#: Seconds to load a model, and to respond to one request; a model that takes longer counts as broken.
START_S, TIMEOUT_S = 600.0, 300.0
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Request:
    """One recording and the segments of it to classify."""

    path: Path
    #: (start, end) in seconds; (None, None) for the whole recording.
    segments: tuple[tuple[float | None, float | None], ...]


@dataclass
class Responses:
    """A model's responses to all requests."""

    #: Class names, in the order of the probabilities.
    classes: list[str] = field(default_factory=list)
    #: Predicted class of each segment, request by request.
    labels: list[str] = field(default_factory=list)
    #: Probabilities of each segment, shape (segments, classes).
    probabilities: list[list[float]] = field(default_factory=list)
    #: Time of each request.
    seconds: list[float] = field(default_factory=list)
    #: Why the model failed; empty if it did not.
    fault: str = ""

    @property
    def latency_ms(self) -> float:
        """Median time per recording in milliseconds, without the first one, which warms the model up."""
        counted = self.seconds[1:] or self.seconds
        return 1000.0 * statistics.median(counted) if counted else float("nan")

    def add(self, response: dict[str, Any], request: Request) -> None:
        """Append the response to one request, or set the fault."""
        if "fault" in response:
            self.fault = f"{request.path.name}: {response['fault']}"
        elif len(response["labels"]) != len(request.segments):
            self.fault = f"{request.path.name}: {len(response['labels'])} labels for {len(request.segments)} segments"
        else:
            self.classes = response["classes"]
            self.labels += response["labels"]
            self.probabilities += response["probabilities"]
            self.seconds.append(response["seconds"])


def run_models(packages: Sequence[Path], requests: Sequence[Request], timeout_s: float = TIMEOUT_S) -> list[Responses]:
    """Send every request to every model.

    The models take turns, so that a slow period of the machine slows all of them. The first one alternates, because
    it reads the recording from disk and the next ones read it from the page cache.

    Parameters
    ----------
    packages
        Folders of logged MLflow models.

    Returns
    -------
    list of Responses
        One per package. A model that fails has its ``fault`` set and gets no further request.
    """
    responses = [Responses() for _ in packages]
    with ExitStack() as stack:
        processes = [stack.enter_context(closing(_ModelProcess(package, timeout_s))) for package in packages]
        turn = list(zip(processes, responses, strict=True))
        for process, collected in turn:
            collected.fault = process.receive(START_S).get("fault", "")
        for request in requests:
            for process, collected in turn:
                if not collected.fault:
                    collected.add(process.send(request), request)
            turn.reverse()
    return responses


class _ModelProcess:
    def __init__(self, package: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (close() closes it)
        self._code = tempfile.TemporaryDirectory(prefix="auscult-model-")
        for wheel in (package / "artifacts").glob("*.whl"):  # unpacked: compiled functions are cached beside sources
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self._code.name)
        environment = os.environ | _ENVIRONMENT | {"PYTHONPATH": self._code.name}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(package.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=tempfile.gettempdir(),  # not the repository, whose `auscult` is not the model's
        )
        self._pending = b""

    def send(self, request: Request) -> dict[str, Any]:
        """Send a request and return its response."""
        assert self._process.stdin is not None
        content = {"path": str(request.path.resolve()), "segments": request.segments}
        with suppress(OSError):  # the process has ended: receive() reports it with the last line of its log
            self._process.stdin.write(json.dumps(content).encode() + b"\n")
            self._process.stdin.flush()
        return self.receive(self._timeout_s)

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the next response, or the fault that prevents one."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                self._process.kill()
                return {"fault": f"no response within {timeout_s:.0f} s"}
            block = os.read(self._process.stdout.fileno(), 1 << 16)
            if not block:
                return {"fault": f"its process ended: {self._last_line()}"}
            self._pending += block
        line, _, self._pending = self._pending.partition(b"\n")
        response: dict[str, Any] = json.loads(line)
        return response

    def _last_line(self) -> str:
        """Return the last line of the log; the exit code if the log is empty."""
        with suppress(subprocess.TimeoutExpired):  # it may have closed its output only; close() ends it
            self._process.wait(timeout=5)
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), f"{self._process.returncode}")

    def close(self) -> None:
        """Wait for the end of the process; kill it after 5 s."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):  # a killed process leaves its last request in the pipe
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
        self._code.cleanup()


def main() -> None:
    """Load the package named on the command line, then respond to requests until standard input ends."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the model prints must not mix with the responses
    try:
        import mlflow.pyfunc
        import pandas as pd

        model = mlflow.pyfunc.load_model(sys.argv[1], suppress_warnings=True)
    except Exception as error:  # any fault of a model is a finding about it
        _respond(output, {"fault": _one_line(error)})
        return
    _respond(output, {"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        table = pd.DataFrame(request["segments"], columns=["start_s", "end_s"], dtype="float64")
        table.insert(0, "path", request["path"])
        begin = time.perf_counter()
        try:
            predicted = model.predict(table)
            seconds = time.perf_counter() - begin
            columns = [name for name in predicted.columns if name.startswith("probability_")]
            _respond(
                output,
                {
                    "labels": [str(label) for label in predicted["label"]],
                    "classes": [name.removeprefix("probability_") for name in columns],
                    "probabilities": predicted[columns].astype("float64").to_numpy().tolist(),
                    "seconds": seconds,
                },
            )
        except Exception as error:
            _respond(output, {"fault": _one_line(error)})


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _respond(output: Any, content: dict[str, Any]) -> None:
    output.write(json.dumps(content) + "\n")
    output.flush()


if __name__ == "__main__":
    main()
