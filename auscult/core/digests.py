"""Digests of files, plain data and source code, used as keys."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import unicodedata
from pathlib import Path

from auscult.core.identifiers import normal


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def patient_key(dataset: str, patient_id: str) -> str:
    """Return a pseudonym of a patient: 16 hex digits, equal for the same patient of the same data set."""
    return hashlib.sha256(f"{dataset}/{normal(patient_id)}".encode()).hexdigest()[:16]


def patient_keys(dataset: str, patient_id: str) -> frozenset[str]:
    """Return the key of a patient, and the one that versions before 0.2 made of an id with decomposed accents."""
    decomposed = unicodedata.normalize("NFD", normal(patient_id))
    older = hashlib.sha256(f"{dataset}/{decomposed}".encode()).hexdigest()[:16]
    return frozenset((patient_key(dataset, patient_id), older))


def digest(*parts: object) -> str:
    """Return a stable 32-digit key of plain data, computed from its JSON with sorted keys."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def code_digest(*modules: str) -> str:
    """Return a key of the source text of modules (dotted names), so that a cache drops what older code computed."""
    texts = []
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(f"no source for module {name}")
        texts.append(hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest())
    return digest(*texts)
