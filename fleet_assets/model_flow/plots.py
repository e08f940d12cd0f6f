"""Pictures of a model on days that it has not seen: what people look at before they trust it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from fleet_assets.model_flow.evaluation_data import Found, windows_of
from fleet_assets.models.evaluation import by_kind, reliability
from fleet_assets.models.training import SAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUIET, _LOUD, _LINE = "#4e79a7", "#e15759", "#606060"
_SHOWN: Final = 20
_MOST_SCORE: Final = 4.0


def model_plots(found: Found, importance: Mapping[str, float]) -> dict[str, bytes]:
    """PNG by name.

    Args:
        found: what the model says of days that it has not seen.
        importance: by column of evidence, of the classifier.
    """
    told = windows_of(found)
    figures = {
        "scores": _scores(told),
        "precision_recall": _precision_recall(told),
        "reliability": _reliability(told),
        "importance": _importance(importance),
        "faults_found": _faults(by_kind(found.passes, ["kind"])),
    }
    return {name: png(figure) for name, figure in figures.items()}


def png(figure: Figure) -> bytes:
    """A figure as a file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=80, metadata={"Software": None})
    return out.getvalue()


def _axes(title: str, width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _scores(told: pl.DataFrame) -> Figure:
    figure, axes = _axes("Scores of windows: an alarm from 1 on")
    edges = np.linspace(0, _MOST_SCORE, 61)
    for name, is_faulty, colour in (("healthy", False, _QUIET), ("faulty", True, _LOUD)):
        mine = told.filter(is_faulty=is_faulty)["score"].to_numpy()
        if len(mine):
            axes.hist(
                np.clip(mine, 0, _MOST_SCORE), edges.tolist(), color=colour, alpha=0.6,
                weights=np.full(len(mine), 1 / len(mine)), label=f"{name}: {len(mine):,} windows,"
                f" {(mine >= 1).mean():.2%} from 1 on",
            )  # fmt: skip
    axes.axvline(1, color=_LINE, linewidth=0.8)
    axes.set_yscale("log")
    axes.set_ylabel("share of windows")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _precision_recall(told: pl.DataFrame) -> Figure:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = _axes("Precision and recall of windows, by score")
    truth, score = told["is_faulty"].to_numpy(), told["score"].to_numpy()
    if truth.any() and not truth.all():
        precision, recall, _ = precision_recall_curve(truth, score)
        area = average_precision_score(truth, score)
        share = truth.mean()
        axes.plot(recall, precision, color=_QUIET, label=f"PR-AUC {area:.2f}")
        axes.axhline(share, color=_LINE, linewidth=0.8, label=f"by chance {share:.2f}")
        hot = score >= 1
        if hot.any():
            at = truth[hot].mean(), hot[truth].mean()
            axes.plot(at[1], at[0], "o", color=_LOUD, label="at the threshold")
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.01)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _reliability(told: pl.DataFrame, share: float = SAME.faulty_share) -> Figure:
    """With as many faulty windows as confidence is made for; with more of them it is too low."""
    healthy, faulty = told.filter(~pl.col("is_faulty")), told.filter("is_faulty")
    wanted = healthy.height * share / (1 - share)
    faulty = faulty.gather_every(max(round(faulty.height / max(wanted, 1)), 1))
    some = pl.concat([healthy, faulty])
    figure, axes = _axes("Confidence against the share of faulty windows")
    found = reliability(some["confidence"], some["is_faulty"])
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=0.8, label="as it should be")
    label = f"{faulty.height / max(some.height, 1):.0%} of the windows are faulty"
    axes.plot(found["confidence"], found["share"], "o-", color=_QUIET, label=label)
    for row in found.iter_rows(named=True):
        at = row["confidence"], row["share"]
        axes.annotate(f"{row['windows']:,}", at, fontsize=7, xytext=(4, -8),
                      textcoords="offset points")  # fmt: skip
    axes.set_xlabel("confidence")
    axes.set_ylabel("share faulty")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _importance(importance: Mapping[str, float]) -> Figure:
    top = sorted(importance.items(), key=lambda each: each[1])[-_SHOWN:]
    figure, axes = _axes("What the classifier looks at", height=5.2)
    axes.barh([name for name, _ in top], [value for _, value in top], color=_QUIET)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("importance")
    return figure


def _faults(kinds: pl.DataFrame) -> Figure:
    figure, axes = _axes("Faults found by kind", height=4.6)
    _bars(axes, kinds["kind"].to_list(), kinds, "faults", "found", "#c7d6e6", _QUIET, "all")
    _bars(axes, kinds["kind"].to_list(), kinds, "clear", "clear_found", "#f2c6c6", _LOUD, "clear")
    axes.set_xlabel("faults; dark: found")
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _bars(
    axes: Axes, names: Sequence[str], kinds: pl.DataFrame, of: str, found: str,
    pale: str, dark: str, label: str,
) -> None:  # fmt: skip
    places = np.arange(len(names)) + (0.2 if of == "clear" else -0.2)
    axes.barh(places, kinds[of].to_numpy(), 0.38, color=pale)
    axes.barh(places, kinds[found].to_numpy(), 0.38, color=dark, label=f"{label}, found")
    axes.set_yticks(np.arange(len(names)), names)
