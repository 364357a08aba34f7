"""Draw ``docs/architecture.png``: the folders of the library and which of them import which.

Run ``python docs/architecture.py`` in the root of the repository. The picture depends on the import statements alone,
so two runs on the same code write the same file. A cycle between folders is an error.
"""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.png"
PACKAGE = "auscult"

_WIDTH_IN, _DPI = 16.0, 100  # 1600 pixels
_BOX = (1.7, 0.5)  # inches
_LINE = 0.5  # inches that a passing arrow keeps free in a layer
_ROW, _GAP = 1.05, 0.35  # inches: distance of two layers, gap between two boxes
_SWEEPS = 40

Arrow = tuple[str, str]
Point = tuple[float, float]


def folder_imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Return, for each folder of the library, the other folders that its modules import.

    Parameters
    ----------
    root
        Root of the repository.

    Returns
    -------
    dict of str to set of str
        Names without the package's own. Imports for type checking count, too.
    """
    package = root / PACKAGE
    folders = sorted(path.parent.name for path in package.glob("*/__init__.py"))
    imports: dict[str, set[str]] = {folder: set() for folder in folders}
    for folder in folders:
        for file in sorted((package / folder).rglob("*.py")):
            for name in _imported(ast.parse(file.read_text(encoding="utf-8"))):
                parts = name.split(".")
                if parts[0] == PACKAGE and len(parts) > 1 and parts[1] in imports:
                    imports[folder].add(parts[1])
        imports[folder].discard(folder)
    return imports


def _imported(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def layers(imports: dict[str, set[str]]) -> list[list[str]]:
    """Return the folders in layers, lowest first: each folder stands one above the highest that it imports.

    Raises
    ------
    ValueError
        Some folders import each other in a cycle; the message names them.
    """
    level: dict[str, int] = {}
    while len(level) < len(imports):
        ready = [name for name in imports if name not in level and imports[name] <= level.keys()]
        if not ready:
            raise ValueError(f"these folders import each other: {', '.join(sorted(imports.keys() - level.keys()))}")
        level |= {name: 1 + max((level[other] for other in imports[name]), default=-1) for name in ready}
    return [sorted(name for name in level if level[name] == each) for each in range(max(level.values()) + 1)]


def without_implied(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out an import that another one implies: of a → b → c and a → c only the first two remain."""

    def reachable(name: str) -> set[str]:
        return imports[name].union(*(reachable(other) for other in imports[name]))

    return {
        name: {other for other in direct if not any(other in reachable(via) for via in direct - {other})}
        for name, direct in imports.items()
    }


def routes(rows: list[list[str]], arrows: dict[str, set[str]]) -> dict[Arrow, list[str]]:
    """Lead each arrow through the layers: a waypoint in every layer that it crosses, so that it passes no box.

    Adds the waypoints to *rows*. The route of an arrow names its box, its waypoints and the box that it points at.
    """
    level = {name: each for each, row in enumerate(rows) for name in row}
    found: dict[Arrow, list[str]] = {}
    for name in sorted(arrows):
        for other in sorted(arrows[name]):
            crossed = range(level[name] - 1, level[other], -1)
            waypoints = [f"{name}>{other}@{each}" for each in crossed]
            for each, waypoint in zip(crossed, waypoints, strict=True):
                rows[each].append(waypoint)
            found[name, other] = [name, *waypoints, other]
    return found


def positions(rows: list[list[str]], routed: dict[Arrow, list[str]]) -> dict[str, Point]:
    """Place boxes and waypoints, in inches from the lower left, each near those that it is connected with.

    Starts from the order in *rows*, moves each layer's members towards the mean of their neighbours, and keeps
    them apart. Deterministic.
    """
    neighbours: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for route in routed.values():
        for upper, lower in itertools.pairwise(route):
            neighbours[upper].append(lower)
            neighbours[lower].append(upper)
    x = {name: (index - (len(row) - 1) / 2) * _BOX[0] for row in rows for index, name in enumerate(row)}
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = {name: sum(x[other] for other in neighbours[name]) / len(neighbours[name]) for name in row}
            row.sort(key=lambda name: (wanted[name], name))
            _spread(row, wanted, x)
    middle = (min(x.values()) + max(x.values())) / 2
    return {
        name: (_WIDTH_IN / 2 + x[name] - middle, _ROW * each + 0.6) for each, row in enumerate(rows) for name in row
    }


def _spread(row: list[str], wanted: dict[str, float], x: dict[str, float]) -> None:
    """Put the members of a layer at their wanted places, and push apart those that would overlap."""
    x.update({name: wanted[name] for name in row})
    for _ in range(50):
        for left, right in itertools.pairwise(row):
            overlap = (_width(left) + _width(right)) / 2 + _GAP - (x[right] - x[left])
            if overlap > 0:
                x[left] -= overlap / 2
                x[right] += overlap / 2


def _width(name: str) -> float:
    return _LINE - _GAP if "@" in name else _BOX[0]


def curve(route: list[str], places: dict[str, Point], start_x: float, end_x: float) -> Curve:
    """Return the line of an arrow: down from its box, past its waypoints, to the top of the box that it points at."""
    half = _BOX[1] / 2
    points = [(start_x, places[route[0]][1] - half)]
    for waypoint in route[1:-1]:
        x, y = places[waypoint]
        points += [(x, y + half), (x, y - half)]
    points.append((end_x, places[route[-1]][1] + half))
    vertices, codes = [points[0]], [Curve.MOVETO]
    for index, (before, after) in enumerate(itertools.pairwise(points)):
        if index % 2:
            vertices.append(after)
            codes.append(Curve.LINETO)
        else:
            half_way = (before[1] + after[1]) / 2
            vertices += [(before[0], half_way), (after[0], half_way), after]
            codes += [Curve.CURVE4] * 3
    return Curve(vertices, codes)


def ports(routed: dict[Arrow, list[str]], places: dict[str, Point]) -> dict[tuple[Arrow, int], float]:
    """Spread the ends of the arrows along their boxes: (arrow, 0 for its start and -1 for its end) → x in inches."""
    ends: dict[tuple[str, int], list[Arrow]] = {}
    for arrow, route in routed.items():
        for end in (0, -1):
            ends.setdefault((route[end], end), []).append(arrow)
    found: dict[tuple[Arrow, int], float] = {}
    for (name, end), arrows in ends.items():
        arrows.sort(key=lambda arrow: places[routed[arrow][1 if end == 0 else -2]][0])
        for index, arrow in enumerate(arrows):
            share = (index + 1) / (len(arrows) + 1) - 0.5
            found[arrow, end] = places[name][0] + share * _BOX[0] * 0.9
    return found


def draw(picture: Path = PICTURE) -> None:
    """Write the picture."""
    imports = folder_imports()
    rows = layers(imports)
    routed = routes(rows, without_implied(imports))
    places = positions(rows, routed)
    at = ports(routed, places)
    height = _ROW * len(rows) + 0.75
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, _WIDTH_IN), ylim=(0, height))
    axes.axis("off")
    ink: dict[str, Any] = {"color": "#12303d", "ha": "center", "va": "center", "fontsize": 15}
    for arrow, route in routed.items():
        path = curve(route, places, at[arrow, 0], at[arrow, -1])
        line = FancyArrowPatch(
            path=path, arrowstyle="-|>", mutation_scale=14, color="#6f8592", linewidth=1.3, shrinkA=0, shrinkB=0
        )
        axes.add_patch(line)
    for name in imports:
        x, y = places[name]
        box = FancyBboxPatch(
            (x - _BOX[0] / 2, y - _BOX[1] / 2),
            *_BOX,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor="#e8f1f5",
            edgecolor="#1f6784",
            linewidth=1.4,
        )
        axes.add_patch(box)
        axes.text(x, y, name, **ink)
    title = f"Folders of {PACKAGE}/ and what they import (without arrows that others imply)"
    axes.text(_WIDTH_IN / 2, height - 0.35, title, **ink)
    figure.savefig(picture, metadata={"Software": None})  # matplotlib's version is no part of the picture


if __name__ == "__main__":
    draw()
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}\n")
