"""Read ``params.yaml``, fill its nulls from ``by_dataset``, and check it against :mod:`auscult.core.sections`.

The whole file is checked on every load, so a misspelt key in any section stops every stage at its start.
"""

from __future__ import annotations

import copy
import difflib
import reprlib
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from auscult.core.errors import ParameterError, unknown_name
from auscult.core.sections import Params

FILE = Path("params.yaml")


def load(path: Path = FILE) -> Params:
    """Load and check the parameters.

    Raises
    ------
    ParameterError
        If a parameter is wrong; the message names the key, its value and what is allowed.
    """
    return parse(read(path), where=str(path))


def read(path: Path = FILE) -> str:
    """Return the text of the file, line ends unchanged, so that it can be written back.

    Raises
    ------
    ParameterError
        If the file is missing or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise ParameterError(
            f"there is no {path} in this folder", where=str(Path.cwd()), next_step="run it from the repository's root"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ParameterError(
            f"{path} is not UTF-8: {error.reason} in line {line}", where=f"{path}:{line}", next_step="save it as UTF-8"
        ) from error


def of_any_revision(path: Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the data set and the names of experiments and combinations of another revision's file; check nothing else.

    Parameters come and go from revision to revision.

    Raises
    ------
    ParameterError
        The file is missing or is not YAML, or does not name them.
    """
    content = _yaml(read(path), str(path))
    dataset, experiments = content.get("dataset"), content.get("experiments")
    combinations = content.get("combinations")
    if not isinstance(dataset, str) or not isinstance(experiments, dict):
        raise ParameterError(
            f"{path} does not name a data set and experiments", where=str(path), next_step="compare another revision"
        )
    return (
        dataset,
        tuple(map(str, experiments)),
        tuple(map(str, combinations if isinstance(combinations, dict) else ())),
    )


def parse(text: str, *, where: str = str(FILE)) -> Params:
    """Return the checked parameters of a YAML text; raises as :func:`load` does."""
    return resolve(_yaml(text, where), where=where)


def _yaml(text: str, where: str) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise ParameterError(
            f"{where} is not valid YAML: {' '.join(str(error).split())}", where=where, next_step=f"correct {where}"
        ) from error
    if not isinstance(raw, dict):
        raise ParameterError(f"{where} must hold sections", where=where, next_step=f"git checkout {where}")
    return raw


def resolve(raw: dict[str, Any], *, where: str = str(FILE)) -> Params:
    """Fill the nulls of parsed parameters from ``by_dataset``, for every data set, and check the result."""
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
            # A value chosen for one data set need not be consistent with the defaults of another.
            _check(_fill(data, defaults, name), f"{where} (with by_dataset.{name})", combinations=False)
    _check(filled := _fill(data, defaults, str(dataset)), where)
    return Params.model_validate(filled)


def _fill(data: dict[str, Any], defaults: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Return a copy of *data* with its nulls replaced by the values of a data set."""
    filled = copy.deepcopy(data)
    place = f"by_dataset.{dataset}"
    for section, values in _mapping(defaults.get(dataset), place, str(FILE)).items():
        target = filled.get(section)
        for key, value in _mapping(values, f"{place}.{section}", str(FILE)).items():
            if section not in _fields_at([]) or key not in _fields_at([section]):
                raise ParameterError(
                    f"{place}.{section}.{key} sets an unknown parameter: there is no {section}.{key}",
                    where=f"{FILE}: {place}.{section}",
                    next_step="remove it or correct its spelling",
                )
            if isinstance(target, dict) and key in target and target[key] is None:
                target[key] = value
    return filled


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    """Return *value*, or ``{}`` for null; raise if it is not a mapping with string keys."""
    if value is not None and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise ParameterError(
            f"{name} is {reprlib.repr(value)}: it must be a mapping of names to values",
            where=where,
            next_step=f"correct {FILE}",
        )
    return value or {}


def _check(data: dict[str, Any], where: str, *, combinations: bool = True) -> None:
    """Raise one error for all wrong parameters; ignore inconsistent combinations unless *combinations*."""
    try:
        Params.model_validate(data)
    except ValidationError as error:
        found = [problem for problem in error.errors() if combinations or problem["type"] != "value_error"]
        if not found:
            return
        problems = [_describe(problem, data) for problem in found]
        what = problems[0] if len(problems) == 1 else "several parameters are wrong:\n  - " + "\n  - ".join(problems)
        raise ParameterError(what, where=where, next_step=f"correct {FILE} and run the same command again") from error


def _describe(problem: Any, data: dict[str, Any]) -> str:
    """Describe an error of pydantic: the dotted key, its value, and what is allowed."""
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
        return f"{name} is empty, and by_dataset has no value for data set {data.get('dataset')!r}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{name} is {problem['input']!r}: {message}"


def _fields_at(keys: list[str]) -> list[str]:
    """Return the names of the parameters in the section at a path of keys; none where the names are free."""
    section: Any = Params
    for key in keys:
        if isinstance(section, type) and issubclass(section, BaseModel):
            fields = {field.alias or name: field for name, field in section.model_fields.items()}
            if key not in fields:
                return []
            section = fields[key].annotation
        else:
            section = get_args(section)[-1]  # a mapping of free names: the type of its values
        while not isinstance(section, type):  # Annotated[X, …], X | None
            kinds = [kind for kind in get_args(section) if kind is not type(None)]
            if get_origin(section) is dict or not kinds:
                break
            section = kinds[0]
    if isinstance(section, type) and issubclass(section, BaseModel):
        return sorted(field.alias or name for name, field in section.model_fields.items())
    return []


def of_experiment(stage: str, combined: bool = False) -> tuple[Params, str]:
    """Load the parameters, and return them with the experiment, or the combination, named on a stage's command line.

    Raises
    ------
    ParameterError
        A parameter is wrong, or the command line does not name one of them.
    """
    params = load()
    names = params.combinations if combined else params.experiments
    if len(sys.argv) != 2:
        raise ParameterError(
            f"the name of one {'combination' if combined else 'experiment'} is missing",
            next_step=f"python -m stages.{stage} {{{','.join(names)}}}",
        )
    if not combined:
        params.experiment(sys.argv[1])
    elif sys.argv[1] not in params.combinations:
        raise unknown_name("combination", sys.argv[1], params.combinations, where="params.yaml: combinations")
    return params, sys.argv[1]
