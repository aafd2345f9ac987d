"""Draws the seconds to *installed* from the bench's JSON, as SVG: python -m bench.picture RESULTS.json PICTURE.svg"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

from bench.scenarios import OURS, PIP, PLAIN, SCENARIOS, TUNED, UV

SHOWN = ("nolimit", "ten", "ten-public", "totals")
COLOURS = {OURS: "#1a7f37", PLAIN: "#4ac26b", TUNED: "#8c959f", UV: "#656d76", PIP: "#bcc3ca"}


def draw(results: Path, picture: Path) -> None:
    """One group of bars per scenario that was measured; a tool that failed has none."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bench"  # the same figures give the same file
    from matplotlib import pyplot

    data = json.loads(results.read_text())
    walls = {(row["scenario"], row["tool"]): row["wall"] for row in data["rows"] if row["outcome"] == "installed"}
    names = [name for name in SHOWN if (name, OURS) in walls]
    if not names:
        raise SystemExit(f"{results}: none of {', '.join(SHOWN)} was installed by {OURS}")
    titles = {scenario.name: scenario.title for scenario in SCENARIOS}
    figure, panels = pyplot.subplots(len(names), 1, figsize=(7, 1.5 * len(names)), squeeze=False)
    for panel, name in zip(panels[:, 0], names, strict=True):
        tools = [tool for tool in reversed(COLOURS) if (name, tool) in walls]
        bars = panel.barh(tools, [walls[name, tool] for tool in tools], color=[COLOURS[tool] for tool in tools])
        panel.bar_label(bars, fmt="%.1f s", padding=3, fontsize=8)
        panel.set_title(titles[name], fontsize=9, loc="left")
        panel.tick_params(labelsize=8)
        panel.margins(x=0.12)
        for edge in ("top", "right"):
            panel.spines[edge].set_visible(False)
    figure.supxlabel(f"seconds until installed, {data['date'][:10]}, {data['machine']['cores']} cores", fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
