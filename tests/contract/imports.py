"""Which project files a stage executes, read from the source text."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def module_file(module: str, root: Path = ROOT) -> Path | None:
    """The file of a dotted module below the repository's root, relative to it."""
    base = Path(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if (root / candidate).exists():
            return candidate
    return None


@cache
def has_code(path: Path) -> bool:
    """False for a file that holds nothing but a docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


@cache
def _named_modules(path: Path) -> set[str]:
    """Every module of the project that a file imports, at its top or inside a function, type checking apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("auscult", "stages")}


def imported_files(*modules: str, root: Path = ROOT) -> set[str]:
    """Files below the root that importing the modules executes, packages' ``__init__`` included when they hold code."""
    seen: set[Path] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            file = module_file(".".join(parts[:depth]), root)
            if file is not None and file not in seen:
                seen.add(file)
                queue.extend(_named_modules(root / file))
    return {file.as_posix() for file in seen if has_code(root / file)}
