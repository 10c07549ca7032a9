"""What a code costs, in labels."""

from __future__ import annotations

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError


def label_equivalents(
    epochs: float, images: float, label_epochs: float, label_images: float
) -> float:
    """Cost of one code in labels: images seen for it over images seen in a label's full training.

    Siamese-NAS, section 3.1: 3 epochs of 5,000 images against 100 of 50,000 are 0.3 %; against
    NAS-Bench-201's 200 epochs, 0.15 %.

    Raises:
        NaspError: if a number is not positive (the code's own may be 0).
    """
    numbers = (epochs, images, label_epochs, label_images)
    real = all(isinstance(number, int | float) for number in numbers)
    if not real or not (epochs >= 0 and images >= 0 and label_epochs > 0 and label_images > 0):
        raise NaspError(
            f"an Estimation Code of {epochs} epochs of {images} images cannot be compared with a "
            f"label of {label_epochs} epochs of {label_images} images: give positive numbers as "
            "estimation_code.label_epochs and estimation_code.label_images"
        )
    return float(epochs) * float(images) / (float(label_epochs) * float(label_images))


def label_training(table: BenchmarkTable, epochs: float, images: float) -> tuple[float, float]:
    """Epochs of a label's training and the images of each: the table's own recipe, if it has one.

    Args:
        table: the benchmark; Tiny-NanoBench's says how its labels were trained.
        epochs: of a table that does not.
        images: likewise.
    """
    recipe = table.provenance.get("training", {}).get("recipe", {})
    return recipe.get("epochs", epochs), recipe.get("images", images)


def own_code_cost(table: BenchmarkTable, epochs: int) -> float | None:
    """Label equivalents of the codes that a table was built with; None where it has none.

    Args:
        table: the benchmark.
        epochs: of the code's training that are used.
    """
    training = table.provenance.get("training", {})
    images, recipe = training.get("code", {}).get("images"), training.get("recipe", {})
    if images is None or not {"epochs", "images"} <= set(recipe):
        return None
    return label_equivalents(epochs, images, recipe["epochs"], recipe["images"])
