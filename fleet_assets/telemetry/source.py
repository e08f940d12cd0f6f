"""Where messages come from, as the accounts name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """The Kafka topic that messages come from; a re-created topic is another source."""

    cluster_id: str
    topic_id: str

    def app_id(self, partition: int) -> str:
        """Name of the Delta transaction that holds the partition's next offset."""
        return f"{self.cluster_id}/{self.topic_id}/{partition}"
