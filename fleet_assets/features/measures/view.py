"""What measures look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet_assets.features.catalogue import Feature, FeatureCatalogue
from fleet_assets.features.cells import Cells
from fleet_assets.features.lines import Line
from fleet_assets.features.windows import Ranges, Windows
from fleet_assets.rules.samples import Values


@dataclass(frozen=True)
class View:
    """Seconds of some vehicles, and the windows that are wanted of them."""

    cells: Cells
    windows: Windows
    catalogue: FeatureCatalogue

    def line(self, feature: Feature) -> Line:
        """Where the feature's signals are known together; the kernel has seen to it that they are.

        Raises:
            LookupError: they never are.
        """
        return self.line_of(*feature.signals)

    def line_of(self, *signals: str) -> Line:
        """The same for signals by name; all seconds for none."""
        line = self.cells.line(*signals)
        if line is None:
            raise LookupError(f"{', '.join(signals)} are never known together")
        return line

    def among(self, line: Line, feature: Feature) -> Ranges:
        """The part of a line that lies in each of the feature's windows."""
        return self.windows.among(line, feature.horizon_s)

    def number(self, name: str) -> float:
        """A number of the catalogue, in its unit."""
        return self.catalogue.number(name)

    @property
    def nothing(self) -> Values:
        """NaN for every window."""
        return np.full(len(self.windows), np.nan)
