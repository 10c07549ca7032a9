"""A linear prior mean in the extra inputs, such as zero-cost proxies: the processes learn the rest.

Bayesian ridge regression (MacKay, "Bayesian Interpolation", Neural Computation 1992), whose
strength comes from the labels; scikit-learn computes it.
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.predictor.multiview.view import extra_inputs
from nasp_lightning.space.base import Graphs


class Trend:
    """Targets as a linear function of extra inputs, and what is left.

    Args:
        graphs: ``n`` training architectures with their extra inputs.
        targets: ``[n]`` of unit variance.

    Attributes:
        rest: ``[n]`` targets without the trend, of unit variance again.
        scale: what that variance was divided by, as a deviation.

    Raises:
        NaspError: if the architectures have no extra inputs.
    """

    def __init__(self, graphs: Graphs, targets: Array) -> None:
        from sklearn.linear_model import BayesianRidge

        inputs = extra_inputs(graphs)
        self._centre, deviation = inputs.mean(0), inputs.std(0)
        self._deviation = np.where(deviation > 1e-9, deviation, 1.0)
        self._ridge = BayesianRidge().fit(self._standardised(inputs), targets)
        rest = targets - self.of(graphs)
        self.scale = float(rest.std()) or 1.0
        self.rest: Array = rest / self.scale

    def of(self, graphs: Graphs) -> Array:
        """``[N]`` the trend of any architectures."""
        return np.asarray(self._ridge.predict(self._standardised(extra_inputs(graphs))))

    def _standardised(self, inputs: Array) -> Array:
        standardised: Array = (inputs - self._centre) / self._deviation
        return standardised
