"""What else differs: leaves of ``params.yaml``, entries of ``dvc.lock``, sizes of outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from auscult.comparison.document import Parameter, Size, Stage
from auscult.core.paths import CODE
from auscult.versioning.graph import Run, Work

_MOST_NAMES = 100


def parameters(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[Parameter]:
    """Every leaf that differs, by its dotted name."""
    old, new = dict(_leaves(base)), dict(_leaves(head))
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return [Parameter(name[:200], _cut(old.get(name)), _cut(new.get(name))) for name in names]


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= 500 else value[:499] + "…"


def _leaves(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, json.dumps(value, ensure_ascii=False, default=str)


def stages(base: Mapping[str, Any], head: Mapping[str, Any], base_run: Run, head_run: Run) -> list[Stage]:
    """Every stage whose entry in the lock differs, that ran here, or that failed; in head's order."""
    names = list(dict.fromkeys([*head_run.stages, *head, *base_run.stages, *base]))
    made = [_stage(name, base.get(name), head.get(name), base_run, head_run) for name in names]
    return [each for each in made if each is not None]


def _stage(name: str, old: Any, new: Any, base_run: Run, head_run: Run) -> Stage | None:
    mine, theirs = head_run.stages.get(name), base_run.stages.get(name)
    parts = {
        "deps": _moved(_files(old, "deps"), _files(new, "deps")),
        "params": _moved(_recorded_params(old), _recorded_params(new)),
        "outs": _moved(_files(old, "outs"), _files(new, "outs")),
    }
    if old is None or new is None:
        state = "added" if old is None and (new is not None or theirs is None) else "removed"
    else:
        state = "changed" if any(parts.values()) else "unchanged"
    busy = any(work is not None and work.did not in ("unchanged", "taken from cache") for work in (mine, theirs))
    if state == "unchanged" and not busy:
        return None
    known = state == "changed"  # of a stage that one side lacks everything differs: nobody wants the list
    code = [path for path in parts["deps"] if path.startswith(CODE)]
    return Stage(
        name[:120],
        state,  # type: ignore[arg-type]
        _names(code if known else ()),
        _names(parts["params"] if known else ()),
        _names([path for path in parts["deps"] if path not in code] if known else ()),
        _names(parts["outs"] if known else ()),
        *_did(theirs, mine),
    )


def _did(theirs: Work | None, mine: Work | None) -> tuple[Any, Any, float | None, float | None]:
    return (
        theirs.did if theirs is not None else None,
        mine.did if mine is not None else None,
        theirs.seconds if theirs is not None else None,
        mine.seconds if mine is not None else None,
    )


def _names(paths: Any) -> tuple[str, ...]:
    return tuple(str(path)[:120] for path in list(paths)[:_MOST_NAMES])


def _files(entry: Any, kind: str) -> dict[str, str]:
    return {str(each["path"]): str(each.get("md5", "")) for each in (entry or {}).get(kind, [])}


def _recorded_params(entry: Any) -> dict[str, str]:
    recorded = (entry or {}).get("params", {}).get("params.yaml", {})
    return {str(name): json.dumps(value, sort_keys=True, default=str) for name, value in recorded.items()}


def _moved(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def digest(lock: Mapping[str, Any], path: str) -> str:
    """What a lock records of an output; empty where it does not."""
    return next((found[path] for entry in lock.values() if path in (found := _files(entry, "outs"))), "")


def sizes(base: Mapping[str, Any], head: Mapping[str, Any], *, both: bool) -> list[Size]:
    """Bytes of the models and of all outputs, as the locks record them."""
    made = []
    for what, prefix in (("models", "models/"), ("all outputs", "")):
        old, new = _bytes(base, prefix), _bytes(head, prefix)
        made.append(Size(what, old if both else None, new))
    return made


def _bytes(lock: Mapping[str, Any], prefix: str) -> int:
    outs = (out for entry in lock.values() for out in entry.get("outs", []))
    return sum(int(out.get("size", 0)) for out in outs if str(out["path"]).startswith(prefix))
