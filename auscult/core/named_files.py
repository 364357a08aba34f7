"""Files that are found by their name, such as architectures: what each must define, checked without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from auscult.core.errors import AuscultError


def check(path: Path, needed: Iterable[str], checklist: str) -> None:
    """Raise an :class:`AuscultError` unless a Python file defines every name in *needed*.

    Importing the file would take seconds where it uses torch, and a run would find what is missing only in its stage.

    Parameters
    ----------
    checklist
        Heading in CONTRIBUTING.md of what such a file needs.
    """
    defined = names(path)
    if missing := [name for name in needed if name not in defined and "*" not in defined]:
        raise AuscultError(
            f"{path.name} does not define {', '.join(missing)}",
            where=str(path),
            next_step=f'add it: CONTRIBUTING.md, "{checklist}"',
        )


def names(path: Path) -> set[str]:
    """Return the names that a Python file defines at any level; raise an :class:`AuscultError` if it is not Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise AuscultError(
            f"{path.name} is not valid Python: {error.msg}", where=f"{path}:{error.lineno}", next_step="correct it"
        ) from error
    return {name for node in ast.walk(tree) for name in _names(node)}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return [node.asname or node.name] if isinstance(node, ast.alias) else []
