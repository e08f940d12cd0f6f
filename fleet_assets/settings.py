"""Every setting of the platform, read from the environment (``FLEET_*``) or ``.env``.

What belongs here: names, types, defaults and one sentence a user reads when he wonders what a
setting does. What does not: thresholds of rules and bounds of signals (they are data), and
anything that is the same on every machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_assets.errors import NotRunningError


class Settings(BaseSettings):
    """Settings of one installation; environment variables win over ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix="FLEET_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    home: Path = Field(Path(".fleet"), description="Folder for all local state and logs.")
    kafka_bootstrap_servers: str | None = Field(
        None, description="Use this Kafka; unset: an embedded one is started."
    )
    postgres_url: str | None = Field(
        None, description="Use this PostgreSQL (postgresql://…); unset: an embedded one is started."
    )
    lake_url: str | None = Field(
        None, description="Root of the lake, a folder or object-store URL; unset: FLEET_HOME/lake."
    )
    partitions_start: datetime = Field(
        datetime(2026, 1, 1, tzinfo=UTC),
        description="First hour of event time that is accepted; earlier messages are rejected.",
    )
    max_lateness: timedelta | None = Field(
        None,
        description="Reject what is older than this at its arrival (e.g. P30D); unset: no limit.",
    )
    future_tolerance: timedelta = Field(
        timedelta(minutes=5), description="Reject messages that are further than this ahead."
    )
    late_after: timedelta = Field(
        timedelta(minutes=5), description="A message this much older than its arrival is late."
    )
    late_interval: timedelta = Field(
        timedelta(minutes=10),
        description="Closed hours are refreshed, and rules on days and trips looked at, at most"
        " this often.",
    )
    landing_max_messages: int = Field(
        4_000_000, gt=0, description="Most messages that one landing run is asked to read."
    )
    run_log_retention: timedelta = Field(
        timedelta(days=1),
        description="How long Dagster keeps the log lines of runs that went well.",
    )
    raw_retention: timedelta | None = Field(
        None,
        gt=timedelta(0),
        description="Raw messages of hours that are older than this, and quiet for as long, go to"
        " the archive once they are accounted for (e.g. P30D); unset: as the class `raw` says.",
    )
    archive_url: str | None = Field(
        None,
        description="Root of the archive, a folder or object-store URL; unset: FLEET_HOME/archive.",
    )
    retention_file: Path | None = Field(
        None,
        description="Classes of retention of your own; unset: those that come with the platform.",
    )
    vacuum_retention: timedelta = Field(
        timedelta(days=1),
        ge=timedelta(hours=1),
        description="How long replaced files of the lake stay, for readers under way.",
    )
    disk_reserve_bytes: int = Field(
        2 * 1024**3, gt=0, description="`fleet doctor` warns when less than this is free."
    )
    verify_days: int = Field(
        2, gt=0, description="So many closed days are verified against a rebuild each night."
    )
    verify_messages: int = Field(
        20_000_000, gt=0, description="Most messages of the hours that are verified in a night."
    )
    topic: str = Field("vehicle-telemetry", description="Kafka topic of the telemetry.")
    dlq_topic: str = Field("telemetry-dlq", description="Kafka topic that rejects are sent to.")
    anomalies_topic: str = Field(
        "anomalies", description="Kafka topic that changes of anomalies are sent to."
    )
    rules_share: float = Field(
        0.25, gt=0, le=1, description="Largest share of the time that trips and rules may take."
    )
    features_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Largest share of the time that feature windows may take; baselines likewise.",
    )
    scoring_share: float = Field(
        0.25, gt=0, le=1, description="Largest share of the time that scoring by models may take."
    )
    recent_full: timedelta = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        description="Age up to which marts.telemetry_recent has every row.",
    )
    recent_minutes: timedelta = Field(
        timedelta(days=1),
        ge=timedelta(0),
        description="Age up to which marts.telemetry_recent has a row per vehicle and minute.",
    )
    recent_bytes: int = Field(
        2 * 1024**3,
        ge=0,
        description="Most bytes of marts.telemetry_recent: what is too much is cut, the oldest"
        " first. 0 switches it off.",
    )
    recent_share: float = Field(
        0.1, gt=0, le=1, description="Largest share of the time that its loads may take."
    )
    topic_partitions: int = Field(6, gt=0, description="Partitions of the topic when it is made.")

    kafka_port: int = Field(19092, description="Port of the embedded Kafka.")
    postgres_port: int = Field(15432, description="Port of the embedded PostgreSQL.")
    dagster_port: int = Field(3000, description="Port of the Dagster UI.")
    kafka_heap: str = Field("512m", description="Java heap of the embedded Kafka (-Xmx).")
    kafka_retention_bytes: int = Field(
        1024**3, description="Bytes the embedded Kafka keeps per partition."
    )

    kafka_security_protocol: str | None = Field(None, description="For example SASL_SSL.")
    kafka_sasl_mechanism: str | None = Field(None, description="For example SCRAM-SHA-512.")
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_ca_location: str | None = None
    kafka_ssl_certificate_location: str | None = None
    kafka_ssl_key_location: str | None = None
    kafka_options: dict[str, Any] = Field(
        default_factory=dict,
        description="Further librdkafka options as JSON, passed through to every client.",
    )

    @field_validator("partitions_start")
    @classmethod
    def _whole_utc_hour(cls, value: datetime) -> datetime:
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if value != value.replace(minute=0, second=0, microsecond=0):
            raise ValueError("must be a whole hour in UTC, for example 2026-01-01T00:00Z")
        return value

    @cached_property
    def services_file(self) -> Path:
        """Where a running ``fleet up`` leaves the addresses of its services."""
        return self.home / "services.json"

    @property
    def lake_root(self) -> str:
        """Root of the lake; known without any service running."""
        return self.lake_url or str((self.home / "lake").absolute())

    @property
    def archive_root(self) -> str:
        """Root of the archive."""
        return self.archive_url or str((self.home / "archive").absolute())

    def kafka_client_options(self) -> dict[str, Any]:
        """librdkafka options for reaching the broker, without ``bootstrap.servers``."""
        named = {
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password,
            "ssl.ca.location": self.kafka_ssl_ca_location,
            "ssl.certificate.location": self.kafka_ssl_certificate_location,
            "ssl.key.location": self.kafka_ssl_key_location,
        }
        return {k: v for k, v in named.items() if v is not None} | self.kafka_options


@dataclass(frozen=True)
class Endpoints:
    """Addresses of the three stores that every command and every run works against."""

    kafka_bootstrap_servers: str
    postgres_url: str
    lake_url: str


def resolve_endpoints(settings: Settings | None = None) -> Endpoints:
    """Addresses from the settings, else from the running ``fleet up``.

    Raises:
        NotRunningError: a service is neither set nor was started by ``fleet up``.
    """
    settings = settings or Settings()
    return Endpoints(
        kafka_bootstrap_servers=service_address("kafka_bootstrap_servers", settings),
        postgres_url=service_address("postgres_url", settings),
        lake_url=settings.lake_root,
    )


def service_address(
    name: Literal["kafka_bootstrap_servers", "postgres_url"], settings: Settings | None = None
) -> str:
    """Address of one service, for what needs no other; raises as `resolve_endpoints` does."""
    settings = settings or Settings()
    known: dict[str, str] = {}
    if settings.services_file.exists():
        known = json.loads(settings.services_file.read_text())
    value = getattr(settings, name) or known.get(name)
    if not value:
        raise NotRunningError(
            f"No {name} known: run `fleet up` first, or set FLEET_{name.upper()}."
        )
    return str(value)
