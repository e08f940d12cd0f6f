"""The resource that hands assets the lake, the broker, the warehouse and the settings."""

from __future__ import annotations

from dagster import ConfigurableResource

from fleet_assets.kafka.topic import Broker
from fleet_assets.lake.store import Lake
from fleet_assets.settings import Settings, service_address
from fleet_assets.telemetry.placement import TimePolicy


class Platform(ConfigurableResource):  # type: ignore[type-arg]
    """Where things are, from the settings of the process (`FLEET_*`)."""

    @property
    def settings(self) -> Settings:
        """All settings."""
        return Settings()

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.settings.lake_root)

    @property
    def broker(self) -> Broker:
        """Kafka."""
        return Broker(
            service_address("kafka_bootstrap_servers"), self.settings.kafka_client_options()
        )

    @property
    def postgres_url(self) -> str:
        """The warehouse."""
        return service_address("postgres_url")

    @property
    def time_policy(self) -> TimePolicy:
        """Which event times landing accepts."""
        settings = self.settings
        return TimePolicy(
            settings.partitions_start, settings.future_tolerance, settings.max_lateness
        )
