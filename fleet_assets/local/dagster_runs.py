"""Dagster's runs by its web server: asked for, looked at. HTTP alone; Dagster is not imported."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fleet_assets.backfill.drive import RunSeen
from fleet_assets.errors import FleetError, NotRunningError
from fleet_assets.local.state import read_state
from fleet_assets.settings import Settings

_TIMEOUT_SECONDS: Final = 60
_LOCATION: Final = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "fleet_assets",
}
_ENDED: Final = {"SUCCESS": "succeeded", "FAILURE": "failed", "CANCELED": "failed"}


def dagster_runs(settings: Settings) -> DagsterRuns:
    """Runs of the platform that `fleet up` has started.

    Raises:
        NotRunningError: none runs, or it runs without Dagster.
    """
    state = read_state(settings.services_file)
    if state is None or not state.dagster_url:
        raise NotRunningError(
            "Backfills are done by Dagster's runs, and Dagster does not run: start it with"
            " `fleet up`. (`--dry-run` needs it not.)"
        )
    return DagsterRuns(state.dagster_url)


@dataclass(frozen=True)
class DagsterRuns:
    """The web server at an address such as http://127.0.0.1:3000."""

    url: str

    def step_of_asset(self, job: str) -> Mapping[str, str]:
        """The step that makes each asset of a job."""
        asked = self._ask(_ASSETS, {"job": {**_LOCATION, "pipelineName": job}})
        return {
            "/".join(node["assetKey"]["path"]): node["opNames"][0].rpartition(".")[2]
            for node in asked["assetNodes"]
            if node["opNames"]
        }

    def launch(
        self,
        job: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str],
        assets: Sequence[str] | None,
    ) -> str:
        """Asks for a run and gives its id; assets None: all of the job.

        Raises:
            FleetError: Dagster refuses it.
        """
        chosen = None if assets is None else [{"path": name.split("/")} for name in assets]
        given = {
            "selector": {**_LOCATION, "jobName": job, "assetSelection": chosen},
            "runConfigData": dict(config),
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }
        answer = self._ask(_LAUNCH, {"given": given})["launchRun"]
        if "run" not in answer:
            errors = [error["message"] for error in answer.get("errors", [])]
            told = "; ".join([answer.get("message", ""), *errors]).strip("; ")
            raise FleetError(f"Dagster refuses the run of {job} ({answer['__typename']}): {told}")
        return str(answer["run"]["runId"])

    def look(self, run_id: str) -> RunSeen | None:
        """A run; None: there is none."""
        answer = self._ask(_RUN, {"id": run_id})["runOrError"]
        return _seen(answer) if "status" in answer else None

    def tagged(self, name: str, value: str) -> list[RunSeen]:
        """Runs with a tag, the newest first."""
        answer = self._ask(_TAGGED, {"tags": [{"key": name, "value": value}]})["runsOrError"]
        return [_seen(run) for run in answer.get("results", [])]

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                found = json.load(answer)
        except (OSError, urllib.error.URLError) as error:
            raise FleetError(
                f"Dagster at {self.url} does not answer ({error}): `fleet status` shows what runs."
                " A backfill goes on from here with the same command."
            ) from error
        if found.get("errors"):
            raise FleetError(f"Dagster at {self.url}: {found['errors'][0]['message']}")
        return dict(found["data"])


def _seen(run: Mapping[str, Any]) -> RunSeen:
    return RunSeen(
        run["runId"],
        _ENDED.get(run["status"], "unfinished"),  # type: ignore[arg-type]
        {tag["key"]: tag["value"] for tag in run["tags"]},
        _moment(run["startTime"]),
        _moment(run["endTime"]),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


_OF_RUN: Final = "runId status startTime endTime tags { key value }"
_ASSETS: Final = """
query($job: PipelineSelector!) {
  assetNodes(pipeline: $job) { assetKey { path } opNames }
}
"""
_LAUNCH: Final = """
mutation($given: ExecutionParams!) {
  launchRun(executionParams: $given) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""
_RUN: Final = f"query($id: ID!) {{ runOrError(runId: $id) {{ ... on Run {{ {_OF_RUN} }} }} }}"
_TAGGED: Final = f"""
query($tags: [ExecutionTag!]) {{
  runsOrError(filter: {{tags: $tags}}) {{ ... on Runs {{ results {{ {_OF_RUN} }} }} }}
}}
"""
