"""A whole model that is made in no time: its parts have seen a few numbers, it judges nothing."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor

from fleet_assets.models.bank import Bank
from fleet_assets.models.detector import Detector
from fleet_assets.models.evidence import EVIDENCE, GROUP
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.healthy import Expectation
from fleet_assets.models.isolation import Isolation
from fleet_assets.models.kinds import Classifier, Namer
from fleet_assets.models.vehicle import Vehicle


def small_model(seed: int = 1) -> FleetModel:
    """Another seed gives another file."""
    random = np.random.default_rng(seed)
    values, classes = random.random((20, 2)), np.array(["healthy", "gps/off"] * 10)
    told = RandomForestClassifier(2, random_state=seed).fit(values, classes)
    expected = RandomForestRegressor(2, random_state=seed).fit(values, values[:, 0])
    unusual = IsolationForest(n_estimators=2, random_state=seed).fit(values)
    columns = ("rpm_mean_60s", "speed_mean_60s")
    limits = np.array([0.0, 1.0])
    vehicle = Vehicle(
        {"engine_rpm": Expectation("engine_rpm", columns, expected, {})},
        *([limits] * 6),
        habits={},
        windows=20,
    )
    detector = Detector(
        Classifier(columns, told),
        Namer(columns, told, ("off/gps",)),
        {},
        0.5 + seed / 100,
        limits,
        limits,
    )
    return FleetModel(
        isolations=dict.fromkeys(("truck", "fleet"), Isolation(columns, limits, unusual)),
        types={"T-1": "truck"},
        vehicles={GROUP: vehicle, "T-1": vehicle},
        own=detector,
        settled=None,
        strange=None,
        bank=Bank(np.empty((0, len(EVIDENCE)), np.float16), (), np.empty(0, np.int64)),
    )
