"""What the report's figures share: their style, matplotlib made when it is needed, PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.error import NaspError
from nasp_lightning.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers, yellow left out as too pale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("solid", "dashed", "dotted")


def look(index: int) -> tuple[str, str, str]:
    """Colour, marker and dashes of a figure's method; no two of the first 21 look alike."""
    turn = index // len(COLOURS)
    return (
        COLOURS[index % len(COLOURS)],
        MARKERS[(index + turn) % len(MARKERS)],
        DASHES[turn % len(DASHES)],
    )


def require_matplotlib() -> None:
    """Refuse, before anything is drawn, where matplotlib is absent.

    Raises:
        NaspError: if it is.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise NaspError(
            "plots need matplotlib: pip install 'nasp-lightning[report]', or leave out --plot"
        ) from error


@contextmanager
def styled_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty ``matplotlib.figure.Figure`` of that size in inches, drawn in the report's style.

    No window, no global state: pyplot is not used.

    Raises:
        NaspError: if matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "nasp_lightning",  # the same rows give the same file
        }
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write ``<stem>.png`` and ``<stem>.svg``, without a date; returns their paths.

    Raises:
        NaspError: if the folder cannot be written.
    """
    written = []
    for kind in ("png", "svg"):
        path = folder / f"{stem}.{kind}"
        metadata = {"Date": None} if kind == "svg" else None
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=metadata)
        written.append(path)
    return written
