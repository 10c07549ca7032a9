"""The picture and the tables of Kendall's tau, made from ``experiments/*/measured.csv``.

    python docs/figures/ranking.py

writes ``docs/figures/ranking_light.svg`` and ``ranking_dark.svg``, and the tables between the
markers ``<!-- ranking:begin -->`` and ``<!-- ranking:end -->`` of ``README.md`` and
``docs/measured.md``. ``tests/test_docs.py`` checks that the tables are those of the files.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- ranking:begin -->", "<!-- ranking:end -->"

# Benchmark, its heading, its label counts in the tables.
COLUMNS = (
    ("nasbench201", "NAS-Bench-201", (78, 156, 469)),
    ("nasbench101", "NAS-Bench-101's 20,001", (100, 172, 424)),
)
# Heading, folder of experiments/ (with {} for the benchmark), method in its measured.csv.
ROWS = (
    ("Neural Predictor", "peers", "neural_predictor"),
    ("TNASP", "peers", "tnasp"),
    ("TNASP, self-evolution, 200 labels more", "tnasp_{}", "tnasp + SE"),
    ("NAO", "peers", "nao"),
    ("PINAT", "peers", "pinat"),
    ("BRP-NAS' relation predictor", "peers", "brp"),
    ("gradient boosting", "classical_baselines", "gradient_boosting"),
    ("Gaussian process", "classical_baselines", "gaussian_process (marginal_likelihood)"),
    ("**multiview** (ours)", "multiview", "multiview"),
)
OURS = ROWS[-1][0]
# Text, neural predictors, those without gradient training, ours.
LIGHT = ("#222222", "#70757a", "#1f6feb", "#c2410c")
DARK = ("#e6e6e6", "#9aa0a6", "#6cb6ff", "#ffb454")


def read(folder: str) -> list[dict[str, str]]:
    """The rows of an experiment's ``measured.csv``."""
    with open(ROOT / "experiments" / folder / "measured.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measured(folder: str, method: str, benchmark: str) -> dict[int, tuple[float, str]]:
    """Labels -> mean tau over seeds, and what its paper says (empty where it does not)."""
    if folder == "multiview":  # a row for each seed
        taus: dict[int, list[float]] = {}
        for row in read(folder):
            key = (row["benchmark"], row["test"], row["predictor"], row["without"])
            if key == (f"{benchmark} cifar10", "all", method, ""):
                taus.setdefault(int(row["labels"]), []).append(float(row["kendall_tau"]))
        return {labels: (fmean(values), "") for labels, values in taus.items()}
    return {
        int(row["train_size"]): (
            float(row["kendall_tau_mean"]),
            row["published_kendall_tau"] if row["published_confirmed"] == "yes" else "",
        )
        for row in read(folder.format(benchmark))
        if (row["benchmark"], row["test_size"], row["method"]) == (benchmark, "all", method)
        and int(row["n_seeds"]) >= 5
    }


def table(published: bool) -> str:
    """The Markdown table; ``published``: with the papers' numbers in parentheses."""
    heads = [
        f"{name}, {labels[0]} labels" if index == 0 else str(labels[index])
        for _, name, labels in COLUMNS
        for index in range(len(labels))
    ]
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for heading, folder, method in ROWS:
        cells = []
        for benchmark, _, counts in COLUMNS:
            found = measured(folder, method, benchmark)
            for labels in counts:
                tau, paper = found[labels]
                text = f"**{tau:.3f}**" if heading == OURS else f"{tau:.3f}"
                cells.append(f"{text} ({float(paper):.3f})" if published and paper else text)
        lines.append(f"| {heading} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str, content: str) -> str:
    """A page with the table between its markers replaced."""
    block = f"{BEGIN}\n{content}\n{END}"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: block, text, flags=re.DOTALL)


def draw(path: Path, dark: bool) -> None:
    """Tau against labels, a panel for each benchmark, without a background."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ink, neural, other, ours = DARK if dark else LIGHT
    marks = dict(zip((row[0] for row in ROWS), "os^vDPX*o", strict=True))
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "nasp_lightning",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": ink,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
        for axis, (benchmark, name, counts) in zip(axes, COLUMNS, strict=True):
            for heading, folder, method in ROWS:
                found = measured(folder, method, benchmark)
                bold = heading == OURS
                axis.plot(
                    counts,
                    [found[labels][0] for labels in counts],
                    color=ours if bold else other if folder == "classical_baselines" else neural,
                    marker=marks[heading],
                    markersize=6 if bold else 5,
                    linewidth=2.5 if bold else 1,
                    label=heading.replace("**", ""),
                )
            axis.set_xscale("log")
            axis.set_xticks(counts, [str(labels) for labels in counts])
            axis.minorticks_off()
            axis.set_title(name, fontsize=11)
            axis.set_xlabel("labelled architectures")
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(axis="y", color=neural, alpha=0.25)
            axis.patch.set_alpha(0)
        axes[0].set_ylabel("Kendall's tau")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right center", frameon=False)
        figure.patch.set_alpha(0)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)


def main() -> None:
    """Write the pictures and the tables."""
    for dark in (False, True):
        draw(Path(__file__).with_name(f"ranking_{'dark' if dark else 'light'}.svg"), dark)
    for page, published in ((ROOT / "README.md", False), (ROOT / "docs" / "measured.md", True)):
        if page.is_file():
            text = page.read_text(encoding="utf-8")
            page.write_text(with_table(text, table(published)), encoding="utf-8")


if __name__ == "__main__":
    main()
