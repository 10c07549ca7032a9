"""Tables and the reliability plot of ``measure.py``'s runs: measured.csv, measured.md, *.svg.

python experiments/multiview/table.py runs
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import kendalltau

from nasp_lightning.storage import csv_text, write_text

HERE = Path(__file__).resolve().parent
HALF = 10_000  # of NAS-Bench-101's 20,001: designs were chosen on the rows before
WHOLE = {"features", "contracted", "subtrees", "mean", "root", "places", "inputs"}
# Of a split: the best published number (†: second hand, ?: from memory).
PUBLISHED = {
    ("nasbench201 cifar10", 78): "0.677 † HyperNAS",
    ("nasbench201 cifar10", 156): "0.804 † NN-Former",
    ("nasbench201 cifar10", 469): "0.860 ? NN-Former",
    ("nasbench201 cifar10", 781): "0.879 ? NN-Former",
    ("nasbench201 cifar10", 1563): "0.901 ? NAR-Former",
    ("nasbench101 cifar10", 100): "(0.717 PINAT)",
    ("nasbench101 cifar10", 172): "(0.765 † NN-Former)",
    ("nasbench101 cifar10", 424): "(0.812 PINAT)",
    ("nasbench101 cifar10", 4236): "(0.877 † NN-Former)",
}
ROW = dict[str, Any]


def variant(predictor: dict[str, Any], proxies: bool) -> str:
    """What a run's predictor lacks, or has besides."""
    if not predictor["_target_"].endswith("MultiView"):
        return "plain"
    if proxies:
        alone = predictor["views"] == ["inputs"]
        view = "13 proxies alone" if alone else "and 13 proxies"
        return f"{view}, as a prior mean, too" if predictor["trend"] else view
    lacking = WHOLE - set(predictor["views"])
    names = {
        frozenset(): "",
        frozenset({"contracted", "inputs"}): "without contracted",
        frozenset({"subtrees", "inputs"}): "without subtrees",
        frozenset({"mean", "root", "inputs"}): "without networks",
        frozenset({"places", "inputs"}): "without places",
        frozenset(WHOLE - {"features"}): "features alone",
        frozenset(WHOLE - {"subtrees"}): "subtrees alone",
        frozenset(WHOLE - {"mean", "root"}): "networks alone",
        frozenset(WHOLE - {"inputs"}): "",
    }
    name = names[frozenset(lacking)]
    name = name if predictor["weighted"] else "equal weights of families"
    name = name if predictor.get("averaged", True) else "one process"
    return name if predictor["targets"] == "normal_scores" else "labels as they are"


def read(runs: Path) -> list[ROW]:
    """One row for each finished run; NAS-Bench-101 has one more for the half not looked at."""
    rows: list[ROW] = []
    for file in sorted(runs.glob("*/*/results.json")):
        results = json.loads(file.read_text())
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        known = config["predictor"]["_target_"].endswith(("MultiView", "GaussianProcess"))
        if not known or "calibration" not in results:
            continue
        name = variant(config["predictor"], config["data"]["features"] is not None)
        curve = file.parent / "reliability.json"
        row: ROW = {
            "benchmark": f"{config['benchmark']['name']} {results['dataset']}",
            "labels": results["train_size"],
            "test": results["test_size"],
            "predictor": "gaussian_process" if name == "plain" else "multiview",
            "without": "" if name == "plain" else name,
            "seed": config["seed"],
            "kendall_tau": results["kendall_tau"],
            "coverage": results["calibration"]["coverage"],
            "fit_seconds": results["fit_seconds"],
            "rank_seconds": results["rank_seconds"],
            "reliability": json.loads(curve.read_text()) if curve.exists() else None,
        }
        rows.append(row)
        if row["benchmark"].startswith("nasbench101") and results["test_size"] == "all":
            with np.load(file.parent / "predictions.npz") as saved:
                scores, truth = saved["scores"][HALF:], saved["true_accuracy"][HALF:]
            tau = float(kendalltau(scores, truth)[0])
            other = {"benchmark": "nasbench101 other half", "kendall_tau": tau}
            rows.append({**row, **other, "coverage": None, "reliability": None})
    return rows


def grouped(rows: list[ROW]) -> dict[tuple[Any, ...], dict[int, ROW]]:
    """Rows of a benchmark, split, predictor and variant, by their seed."""
    groups: dict[tuple[Any, ...], dict[int, ROW]] = defaultdict(dict)
    for row in rows:
        key = tuple(row[name] for name in ("benchmark", "labels", "test", "predictor", "without"))
        groups[key][row["seed"]] = row
    return groups


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation."""
    if not values:
        return ""
    return f"{np.mean(values):.3f}" + (
        f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    )


def ranking(groups: dict[tuple[Any, ...], dict[int, ROW]]) -> list[str]:
    """The table of all splits, both predictors on the same seeds."""
    lines = [
        "| benchmark | labels | seeds | multiview | plain process | difference, paired | "
        "best published | 90 % intervals hold |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    order = sorted((key for key in groups if key[3] == "multiview" and not key[4]), key=_place)
    for key in order:
        benchmark, labels, test = key[:3]
        own, other = groups[key], groups.get((*key[:3], "gaussian_process", ""), {})
        seeds = sorted(set(own) & set(other)) or sorted(own)
        taus = [own[seed]["kendall_tau"] for seed in seeds]
        plain = [other[seed]["kendall_tau"] for seed in seeds if seed in other]
        paired = [a - b for a, b in zip(taus, plain, strict=False)]
        best = PUBLISHED.get((benchmark, labels), "") if test == "all" else ""
        held = [own[seed]["coverage"] for seed in seeds if own[seed]["coverage"] is not None]
        lines.append(
            f"| {benchmark} | {labels}{'' if test == 'all' else f' / {test}'} | {len(seeds)} | "
            f"{spread(taus)} | {spread(plain)} | {spread(paired)} | {best} | "
            f"{spread(held)} |"
        )
    return lines


def _place(key: tuple[Any, ...]) -> tuple[int, str, int, str]:
    order = ("nasbench201 cifar10", "nasbench101 cifar10", "nasbench101 other half")
    return (order.index(key[0]) if key[0] in order else 9, key[0], key[1], str(key[2]))


def ablation(groups: dict[tuple[Any, ...], dict[int, ROW]]) -> list[str]:
    """What each part brings, on the seeds that the variants have."""
    cases = [
        ("nasbench201 cifar10", 78),
        ("nasbench201 cifar10", 469),
        ("nasbench101 cifar10", 100),
        ("nasbench101 cifar10", 424),
    ]
    names = sorted({key[4] for key in groups if key[4] and "proxies" not in key[4]})
    if not names:
        return []
    lines = [
        "| | " + " | ".join(f"{name}, {labels}" for name, labels in cases) + " |",
        "| --- |" + " ---: |" * len(cases),
    ]
    for name in ["", *names, "plain"]:
        cells = []
        for benchmark, labels in cases:
            found = groups.get((benchmark, labels, "all", "multiview", names[0]), {})
            kind = ("gaussian_process", "") if name == "plain" else ("multiview", name)
            runs = groups.get((benchmark, labels, "all", *kind), {})
            cells.append(spread([runs[s]["kendall_tau"] for s in sorted(found) if s in runs]))
        title = {"": "multiview", "plain": "plain process"}.get(name, name)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def proxies(groups: dict[tuple[Any, ...], dict[int, ROW]]) -> list[str]:
    """What thirteen zero-cost proxies bring, on the seeds that they have."""
    names = sorted({key[4] for key in groups if "proxies" in key[4]})
    sizes = (78, 156)
    lines = ["| NAS-Bench-201, CIFAR-10 | 78 labels | 156 |", "| --- | ---: | ---: |"]
    for name in ["", *names]:
        cells = []
        for size in sizes:
            case = ("nasbench201 cifar10", size, "all", "multiview")
            seeds = sorted(groups.get((*case, names[0]), {})) if names else []
            runs = groups.get((*case, name), {})
            cells.append(spread([runs[s]["kendall_tau"] for s in seeds if s in runs]))
        lines.append(f"| multiview {name} | " + " | ".join(cells) + " |")
    return lines if names else []


def reliability_plot(groups: dict[tuple[Any, ...], dict[int, ROW]], path: Path) -> None:
    """Share of held-out labels inside intervals, against their level."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    benchmarks = sorted({key[0] for key in groups if "half" not in key[0]})
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True)
    for axis, predictor in zip(axes, ("multiview", "gaussian_process"), strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for benchmark in benchmarks:
            curves = [
                row["reliability"]["coverage"]
                for key, runs in groups.items()
                if key[0] == benchmark and key[2] == "all" and key[3:] == (predictor, "")
                for row in runs.values()
                if row["reliability"]
            ]
            if curves:
                levels = next(
                    row["reliability"]["levels"]
                    for runs in groups.values()
                    for row in runs.values()
                    if row["reliability"]
                )
                axis.plot(levels, np.mean(curves, axis=0), marker=".", label=benchmark)
        axis.set(title=predictor, xlabel="level of the interval")
    axes[0].set_ylabel("share of held-out labels inside")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Read the runs, write the tables and the plot."""
    rows = read(Path(sys.argv[1]))
    groups = grouped(rows)
    names = [name for name in rows[0] if name != "reliability"]
    numbers = csv_text(names, ([row.get(name) for name in names] for row in rows))
    write_text(HERE / "measured.csv", numbers)
    parts = [
        "## Ranking",
        "",
        *ranking(groups),
        "",
        "Kendall's tau: mean ± sample standard deviation over seeds. Published: † second hand, ? "
        "from memory; (in parentheses) on all 423,624 architectures, so for orientation only.",
        "",
        "## Ablation",
        "",
        *ablation(groups),
        "",
        "## Zero-cost proxies",
        "",
        *proxies(groups),
        "",
    ]
    (HERE / "measured.md").write_text("\n".join(parts), encoding="utf-8")
    reliability_plot(groups, HERE / "reliability.svg")
    print("\n".join(parts))


if __name__ == "__main__":
    main()
