"""``params.yaml`` read, filled and checked; its sections are in :mod:`auscult.core.sections`.

``load()`` reads the whole file, so a misspelt key in any section stops every stage
before it does anything. Values left ``null`` are filled from ``by_dataset``.
"""

from __future__ import annotations

import copy
import difflib
import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from auscult.core.errors import ParameterError, unknown_name
from auscult.core.sections import Experiment, Params

FILE = Path("params.yaml")


def load(path: Path = FILE, *, earlier_layout: bool = False) -> Params:
    """Read, fill and check the parameters.

    Parameters
    ----------
    earlier_layout
        Accept, and ignore, the section ``flows`` that ``params.yaml`` of earlier revisions holds.

    Raises
    ------
    ParameterError
        Naming the key, what is wrong with it, and what would be right.
    """
    return parse(read(path), where=str(path), earlier_layout=earlier_layout)


def read(path: Path = FILE) -> str:
    """The file's text, line ends as they are, so that it can be written back unchanged.

    Raises
    ------
    ParameterError
        There is no such file, or it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise ParameterError(
            f"there is no {path} here", where=str(Path.cwd()), next_step="run it from the repository's root"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ParameterError(
            f"{path} is not UTF-8: {error.reason} in line {line}", where=f"{path}:{line}", next_step="save it as UTF-8"
        ) from error


def parse(text: str, *, where: str = str(FILE), earlier_layout: bool = False) -> Params:
    """Fill and check parameters that are no file yet; raises as :func:`load` does."""
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise ParameterError(
            f"{where} is not valid YAML: {' '.join(str(error).split())}", where=where, next_step=f"mend {where}"
        ) from error
    if not isinstance(raw, dict):
        raise ParameterError(f"{where} must hold sections", where=where, next_step=f"git checkout {where}")
    if earlier_layout:
        raw.pop("flows", None)
    return resolve(raw, where=where)


def resolve(raw: dict[str, Any], *, where: str = str(FILE)) -> Params:
    """Fill the nulls of parsed parameters from ``by_dataset`` and check everything."""
    if "flows" in raw:
        raise ParameterError(
            "the section 'flows' has a file of its own now: flows/settings.yaml",
            where=f"{where}: flows",
            next_step=f"move your changes of it to flows/settings.yaml, and remove it from {where}",
        )
    data = copy.deepcopy(raw)
    defaults = _mapping(data.pop("by_dataset", None), "by_dataset", where)
    dataset = data.get("dataset")
    if isinstance(dataset, str) and dataset not in defaults:
        raise unknown_name(
            "data set",
            dataset,
            defaults,
            where=f"{where}: dataset",
            next_step=f"name one of these, or add a section for {dataset!r} under by_dataset",
        )
    for name in defaults:
        if name != dataset:
            # A value that is given for one data set need not fit together with another's defaults.
            _check(_fill(data, defaults, name), f"{where} (with by_dataset.{name})", combinations=False)
    _check(filled := _fill(data, defaults, str(dataset)), where)
    return Params.model_validate(filled)


def _fill(data: dict[str, Any], defaults: dict[str, Any], dataset: str) -> dict[str, Any]:
    """A copy of *data* in which nulls have the data set's values; only nulls are replaced."""
    filled = copy.deepcopy(data)
    place = f"by_dataset.{dataset}"
    for section, values in _mapping(defaults.get(dataset), place, str(FILE)).items():
        target = filled.get(section)
        for key, value in _mapping(values, f"{place}.{section}", str(FILE)).items():
            if section not in _fields_at([]) or key not in _fields_at([section]):
                raise ParameterError(
                    f"{place}.{section}.{key} fills no parameter: there is no {section}.{key}",
                    where=f"{FILE}: {place}.{section}",
                    next_step="remove it, or mend its spelling",
                )
            if isinstance(target, dict) and key in target and target[key] is None:
                target[key] = value
    return filled


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    """*value*, which must map names to something; null counts as empty."""
    if value is not None and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise ParameterError(
            f"{name} is {reprlib.repr(value)}: it must hold names, each with its values",
            where=where,
            next_step=f"mend {FILE}",
        )
    return value or {}


def _check(data: dict[str, Any], where: str, *, combinations: bool = True) -> None:
    """Refuse what is wrong, all of it at once; where not *combinations*, only what is wrong by itself."""
    try:
        Params.model_validate(data)
    except ValidationError as error:
        found = [problem for problem in error.errors() if combinations or problem["type"] != "value_error"]
        if not found:
            return
        problems = [_describe(problem, data) for problem in found]
        what = problems[0] if len(problems) == 1 else "several parameters are wrong:\n  - " + "\n  - ".join(problems)
        raise ParameterError(what, where=where, next_step=f"mend {FILE} and run the same command again") from error


def _describe(problem: Any, data: dict[str, Any]) -> str:
    """One problem of pydantic's, in words: the dotted key, its value, what would be right."""
    keys = [str(key) for key in problem["loc"] if key != "[key]"]
    name = ".".join(keys)
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _fields_at(keys[:-1])
        close = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        hint = f"; did you mean {'.'.join([*keys[:-1], close[0]])!r}?" if close else f"; there are: {', '.join(known)}"
        return f"unknown parameter {name!r}{hint}"
    if kind == "missing":
        return f"parameter {name!r} is missing"
    if kind == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    if problem["input"] is None:
        return f"{name} is null, and by_dataset has no value for data set {data.get('dataset')!r}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{name} is {problem['input']!r}: {message}"


def _fields_at(keys: list[str]) -> list[str]:
    """Names of the parameters in a section given by its path."""
    section: Any = Params
    for key in keys:
        fields = {field.alias or name: field for name, field in section.model_fields.items()}
        if key not in fields:
            return sorted(Experiment.model_fields)
        section = fields[key].annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return sorted(Experiment.model_fields)
    return sorted(field.alias or name for name, field in section.model_fields.items())
