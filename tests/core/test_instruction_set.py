"""Which processors get the common instruction set, and what the others are told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from auscult.core import instruction_set
from auscult.core.instruction_set import PINNED, obstacle, pin


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    obstacle.cache_clear()
    yield
    obstacle.cache_clear()


def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str | None, machine: str = "x86_64") -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n", encoding="ascii")
    monkeypatch.setattr(instruction_set, "_CPUINFO", cpuinfo)
    monkeypatch.setattr("platform.machine", lambda: machine)
    for name in PINNED:
        monkeypatch.delenv(name, raising=False)


COMPLETE = "fpu sse2 fma movbe f16c bmi1 avx2 bmi2"


@pytest.mark.parametrize("flags", [COMPLETE, f"{COMPLETE} avx512f avx512bw amx_tile"])
def test_a_newer_processor_uses_what_all_have(flags: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    processor(monkeypatch, tmp_path, flags)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    pin()
    assert {name: os.environ[name] for name in PINNED} == PINNED


@pytest.mark.parametrize(
    ("flags", "machine", "why"),
    [
        ("fpu sse2 movbe f16c bmi1 bmi2", "x86_64", "the processor lacks avx2, fma"),
        (None, "aarch64", "the processor is aarch64, not x86-64"),
        (None, "x86_64", "the features of the processor cannot be read from .*cpuinfo"),
    ],
)
def test_another_processor_keeps_the_libraries_choice(
    flags: str | None, machine: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    processor(monkeypatch, tmp_path, flags, machine)
    pin()
    assert not set(PINNED) & set(os.environ)
    assert re.fullmatch(why, obstacle())
