"""Keys of content: of files, of plain data, and of the code that makes something."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Checksum of a file's bytes, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def patient_key(dataset: str, patient_id: str) -> str:
    """What stands for a patient where only "the same one?" is asked, as in ``model.json``: no name, no number."""
    return hashlib.sha256(f"{dataset}/{patient_id}".encode()).hexdigest()[:16]


def digest(*parts: object) -> str:
    """A short stable key of plain data (JSON with sorted keys), for content-addressed names."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def code_digest(*modules: str) -> str:
    """Key of the source text of modules (dotted names), so that a cache forgets what older code made."""
    import importlib.util

    texts = []
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(f"no source for module {name}")
        texts.append(hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest())
    return digest(*texts)
