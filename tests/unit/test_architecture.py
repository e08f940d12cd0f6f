"""Imports run one way, and each package says what belongs in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("fleet_assets", "partitions", "sensors")

# A layer may import itself and what stands here; what is in no layer may be imported by anybody.
CONTRACTS, TIME = "fleet_assets.contracts", "partitions"
EPISODES, RULES = "fleet_assets.episodes", "fleet_assets.rules"
TRIPS = "fleet_assets.trips"
INJECTION = "fleet_assets.injection"
FEATURES = "fleet_assets.features"
MODEL_CHOICE = "fleet_assets.model_choice"
MODELS = "fleet_assets.models"
SCORING = "fleet_assets.scoring"
ANOMALIES = "fleet_assets.anomalies"
DOMAIN = "fleet_assets.telemetry"
ADAPTERS = ("fleet_assets.kafka", "fleet_assets.lake", "fleet_assets.warehouse")
REJECTS = "fleet_assets.rejects"
RETENTION = "fleet_assets.retention"
RETENTION_FLOW = "fleet_assets.retention_flow"
ERASURE_FLOW = "fleet_assets.erasure_flow"
RULE_FLOW = "fleet_assets.rule_flow"
BASELINE_FLOW = "fleet_assets.baseline_flow"
RECENT_FLOW = "fleet_assets.recent_flow"
BACKFILL = "fleet_assets.backfill"
VERIFICATION = "fleet_assets.verification"
MODEL_FLOW = "fleet_assets.model_flow"
MODEL_STORE = "fleet_assets.model_store"
MLFLOW_MIRROR = "fleet_assets.mlflow_mirror"
FLOW, ASSETS, SENSORS = "fleet_assets.flow", "fleet_assets.assets", "sensors"
BASICS = ("fleet_assets.errors", "fleet_assets.fault_points", "fleet_assets.robust")
SETTINGS = "fleet_assets.settings"
FOUNDATION = (*BASICS, CONTRACTS, TIME)
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "fleet_assets.errors": (),
    "fleet_assets.fault_points": (),
    "fleet_assets.robust": (),
    SETTINGS: BASICS,
    CONTRACTS: (),
    "partitions.definitions": (TIME,),
    TIME: (),
    DOMAIN: FOUNDATION,
    EPISODES: (),
    RULES: (*FOUNDATION, EPISODES),
    ANOMALIES: (*FOUNDATION, EPISODES, RULES),
    TRIPS: (*BASICS, CONTRACTS, EPISODES),
    INJECTION: (*BASICS, CONTRACTS),
    FEATURES: (*FOUNDATION, EPISODES, RULES),
    MODEL_CHOICE: (*BASICS, INJECTION),
    MODELS: (*FOUNDATION, EPISODES, RULES, FEATURES, INJECTION),
    SCORING: (
        *FOUNDATION,
        EPISODES,
        RULES,
        FEATURES,
        INJECTION,
        ANOMALIES,
        MODELS,
        MODEL_CHOICE,
    ),
    **dict.fromkeys(
        ADAPTERS,
        (
            *FOUNDATION,
            DOMAIN,
            EPISODES,
            RULES,
            TRIPS,
            FEATURES,
            ANOMALIES,
            INJECTION,
            MODELS,
            MODEL_CHOICE,
            SCORING,
            RETENTION,
            *ADAPTERS,
        ),
    ),
    FLOW: (*FOUNDATION, SETTINGS, DOMAIN, *ADAPTERS),
    RULE_FLOW: (*FOUNDATION, DOMAIN, RULES, *ADAPTERS),
    BASELINE_FLOW: (*FOUNDATION, *ADAPTERS),
    RECENT_FLOW: (*FOUNDATION, DOMAIN, *ADAPTERS),
    MODEL_FLOW: (
        *FOUNDATION,
        DOMAIN,
        ANOMALIES,
        RULES,
        FEATURES,
        INJECTION,
        MODELS,
        MODEL_CHOICE,
        SCORING,
        MODEL_STORE,
        MLFLOW_MIRROR,
        *ADAPTERS,
    ),
    MODEL_STORE: (*BASICS, MODELS, *ADAPTERS),
    MLFLOW_MIRROR: (
        *BASICS,
        MODELS,
        MODEL_CHOICE,
        MODEL_STORE,
        "fleet_assets.local.databases",
        "fleet_assets.local.ports",
        *ADAPTERS,
    ),
    REJECTS: (*FOUNDATION, DOMAIN, *ADAPTERS),
    RETENTION: (*BASICS, CONTRACTS),
    RETENTION_FLOW: (*FOUNDATION, SETTINGS, RETENTION, *ADAPTERS),
    ERASURE_FLOW: (*FOUNDATION, SETTINGS, DOMAIN, RETENTION, *ADAPTERS),
    BACKFILL: (*FOUNDATION, *ADAPTERS),
    VERIFICATION: (*FOUNDATION, BACKFILL, RULES, SCORING, MODEL_FLOW, *ADAPTERS),
    ASSETS: (
        *FOUNDATION,
        SETTINGS,
        DOMAIN,
        RULES,
        MODEL_CHOICE,
        *ADAPTERS,
        REJECTS,
        RETENTION,
        RETENTION_FLOW,
        FLOW,
        RULE_FLOW,
        BASELINE_FLOW,
        RECENT_FLOW,
        MODEL_FLOW,
        MLFLOW_MIRROR,
        BACKFILL,
        VERIFICATION,
    ),
    SENSORS: (
        *FOUNDATION,
        SETTINGS,
        DOMAIN,
        *ADAPTERS,
        REJECTS,
        FLOW,
        RULE_FLOW,
        BASELINE_FLOW,
        RECENT_FLOW,
        MODEL_FLOW,
        ASSETS,
    ),
    "fleet_assets.definitions": (*FOUNDATION, SETTINGS, *ADAPTERS, FLOW, ASSETS, SENSORS),
}
MAY_USE_DAGSTER = (
    ASSETS, SENSORS, "fleet_assets.definitions", "partitions.definitions",
    "fleet_assets.local.run_watch", "fleet_assets.local.dagster_storage",
)  # fmt: skip


def modules() -> Iterator[tuple[str, Path]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports(path: Path) -> set[str]:
    """Names of all modules that a file imports, at its head or within functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide what is imported"
            assert node.module
            found.update(
                whole if (whole := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            )
    return found


def lies_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def layer_of(module: str) -> str | None:
    """The most specific layer that holds the module."""
    return max((layer for layer in MAY_IMPORT if lies_in(module, (layer,))), key=len, default=None)


@pytest.mark.parametrize("module", [name for name in MODULES if layer_of(name)])
def test_imports_run_one_way(module: str) -> None:
    layer = layer_of(module)
    assert layer
    allowed = (layer, *MAY_IMPORT[layer])
    ours = {name for name in imports(MODULES[module]) if lies_in(name, OURS)}
    wrong = sorted(name for name in ours if not lies_in(name, allowed))
    # `partitions` as a whole is allowed to many, its Dagster part is not
    if "partitions.definitions" in ours and not lies_in(module, MAY_USE_DAGSTER):
        wrong.append("partitions.definitions")
    assert not wrong, f"{module} may import {', '.join(allowed)}; it imports {', '.join(wrong)}"


@pytest.mark.parametrize("module", list(MODULES))
def test_only_the_wiring_knows_dagster(module: str) -> None:
    if lies_in(module, MAY_USE_DAGSTER):
        return
    found = [name for name in imports(MODULES[module]) if name.split(".")[0].startswith("dagster")]
    assert not found, f"{module} imports {found}: only {', '.join(MAY_USE_DAGSTER)} may"


def test_every_layer_holds_modules() -> None:
    assert {layer_of(module) for module in MODULES} >= set(MAY_IMPORT)


@pytest.mark.parametrize("module", list(MODULES))
def test_every_module_says_what_it_is_for(module: str) -> None:
    if "migrations" in module:  # alembic's packages; each version has its own docstring
        return
    assert ast.get_docstring(ast.parse(MODULES[module].read_text())), f"{module}: no docstring"
