"""Untrusted JSON into frozen dataclasses: exactly the declared keys and types, or nothing. Standard library only."""

from __future__ import annotations

import json
import math
import os
import stat
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


class Refused(Exception):
    """A value is not what was declared; the message says which and why."""


@dataclass(frozen=True)
class Length:
    """Most characters of a string, or entries of a list."""

    most: int


@dataclass(frozen=True)
class Whole:
    """Range of a whole number, both ends included."""

    least: int
    most: int


def read_regular(path: Path, most: int) -> bytes:
    """The first *most* bytes of a file that is a regular one: no link, pipe or folder.

    Raises
    ------
    Refused
        It is none, or cannot be opened.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Refused(f"{path.name} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(f"{path.name} is no regular file")
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read(most)
    finally:
        os.close(handle)


def load(content: bytes) -> Any:
    """JSON without what JSON does not have: NaN, infinities, a key twice.

    Raises
    ------
    Refused
        It is no such JSON.
    """
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"it is not JSON: {type(error).__name__}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise Refused("a key stands there twice")
    return made


def _no_number(name: str) -> float:
    raise Refused(f"{name} is no number")


def build(kind: Any, value: Any, where: str) -> Any:
    """*value*, as read from JSON, as the declared *kind*: a dataclass, tuple, ``Literal``, optional or plain type.

    A string or a list without a declared :class:`Length` is a mistake of the declaration.

    Raises
    ------
    Refused
        Naming the key.
    """
    limits: tuple[Any, ...] = ()
    if get_origin(kind) is Annotated:
        kind, *rest = get_args(kind)
        limits = tuple(rest)
    if is_dataclass(kind):
        return _object(kind, value, where)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        inner = next(each for each in get_args(kind) if each is not NoneType)
        return None if value is None else build(inner, value, where)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise Refused(f"{where} is none of the known words")
        return value
    if origin is tuple:
        return _list(get_args(kind)[0], value, where, _most(limits))
    if kind is str:
        return _text(value, where, _most(limits))
    if kind is bool:
        return _typed(value, bool, where)
    return _number(kind, value, where, limits)


def _object(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Refused(f"{where or 'it'} is no object")
    hints, names = _hints(kind), [field.name for field in fields(kind)]
    if unknown := set(value) - set(names):
        raise Refused(f"{where or 'it'} holds {len(unknown)} unknown keys")
    if missing := [name for name in names if name not in value]:
        raise Refused(f"{where or 'it'} lacks {missing[0]}")
    return kind(**{name: build(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in names})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _list(kind: Any, value: Any, where: str, most: int) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Refused(f"{where} is no list")
    if len(value) > most:
        raise Refused(f"{where} holds {len(value)} entries, and at most {most} are read")
    return tuple(build(kind, each, f"{where}[{number}]") for number, each in enumerate(value))


def _text(value: Any, where: str, most: int) -> str:
    text: str = _typed(value, str, where)
    if len(text) > most:
        raise Refused(f"{where} holds {len(text)} characters, and at most {most} are read")
    if any(0xD800 <= ord(each) <= 0xDFFF for each in text):
        raise Refused(f"{where} is no text")
    return text


def _number(kind: Any, value: Any, where: str, limits: tuple[Any, ...]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        raise Refused(f"{where} is no {'whole ' if kind is int else ''}number")
    if kind is float and not (abs(value) <= 1e15 and math.isfinite(value)):
        raise Refused(f"{where} is out of range")
    for limit in limits:
        if isinstance(limit, Whole) and not limit.least <= value <= limit.most:
            raise Refused(f"{where} is out of range")
    return kind(value)


def _typed(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise Refused(f"{where} is no {'text' if kind is str else 'yes or no'}")
    return value


def _most(limits: tuple[Any, ...]) -> int:
    return next(limit.most for limit in limits if isinstance(limit, Length))
