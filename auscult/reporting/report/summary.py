"""The report in brief, as markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def markdown(content: Mapping[str, Any]) -> str:
    """One table of results, the data in a line, and what the figures do not mean."""
    about, sizes = content["about"], content["sizes"]
    confidence = content["intervals"]["confidence"]
    lines = [
        f"# {about.get('title', content['dataset'])}",
        "",
        " ".join(content["lead"]),
        "",
        f"| experiment | validation | test ({confidence} % interval) | minus no audio | minus boosting | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for item in content["experiments"]:
        differences = {entry["key"]: entry["difference"] for entry in item["differences"]}
        cells = [
            item["name"],
            item["validation_score"],
            item["score"],
            differences["metadata_only"],
            differences["gradient_boosting"],
            item["verdict"].headline,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    parts = ", ".join(f"{row['part']} {row['patients']} patients / {row['recordings']} recordings" for row in sizes)
    lines += [
        "",
        "Scores are (sensitivity + specificity) / 2 in points of 100; a constant answer has 50."
        " Intervals resample patients.",
        "",
        f"Data: {parts}; {content['set_aside']} recordings set aside.",
        "",
        *(f"- {sentence}" for sentence in content["limits"]),
    ]
    return "\n".join(lines) + "\n"
