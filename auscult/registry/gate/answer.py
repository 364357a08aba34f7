"""A registered model in a process of its own, with the code that it was registered with.

Started by :mod:`auscult.registry.gate.served` as a script, not as a module: what stands in this folder must not be
imported, because ``stages`` here may be newer than the model's own. A line of JSON in, a line of JSON out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Load the package named on the command line, then answer until the input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the model prints is no reply
    try:
        import mlflow.pyfunc
        import pandas as pd

        model = mlflow.pyfunc.load_model(sys.argv[1], suppress_warnings=True)
    except Exception as error:  # any fault of a model is a finding about it
        _say(replies, {"fault": _words(error)})
        return
    _say(replies, {"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        table = pd.DataFrame(asked["stretches"], columns=["start_s", "end_s"], dtype="float64")
        table.insert(0, "path", asked["path"])
        begin = time.perf_counter()
        try:
            answer = model.predict(table)
            seconds = time.perf_counter() - begin
            columns = [name for name in answer.columns if name.startswith("probability_")]
            _say(
                replies,
                {
                    "labels": [str(label) for label in answer["label"]],
                    "classes": [name.removeprefix("probability_") for name in columns],
                    "probabilities": answer[columns].astype("float64").to_numpy().tolist(),
                    "seconds": seconds,
                },
            )
        except Exception as error:
            _say(replies, {"fault": _words(error)})


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _say(replies: Any, content: dict[str, Any]) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
