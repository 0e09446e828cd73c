"""What `check --all-apis` advises, of what the APIs gave."""

from collections.abc import Mapping

import pytest

from exporter.commands.all_apis import Tried, advice, candidates
from exporter.errors import NotFound, PollError
from exporter.messages import line
from exporter.model.rows import Answer, Api, Dimension, UsageRow
from exporter.sources import deployment, usage
from exporter.sources.commercial import Commercial
from exporter.sources.insights import Insights
from exporter.sources.legacy import Legacy

NOW = 1_800_000_000.0
DAY = 86_400.0
LEGACY, COMMERCIAL = Legacy(usage.LEGACY, 10), Commercial(usage.COMMERCIAL, max_series=10)
INSIGHTS = Insights(usage.INSIGHTS, data_sets=("OfficeUsage",), max_series=10)
GONE = NotFound(line("404"))
EMPTY = Answer(())
INSTEAD = "what is configured gives no current data"
USUAL, OTHER = "/v1/analytics/commercial/usage/license/", "/partner/v1/analytics/commercial/usage/license"


def aged(days: float | None) -> Answer:
    processed_at = None if days is None else NOW - days * DAY
    return Answer((UsageRow("Teams", "o365", "reseller", 0.5, processed_at),), usable=1)


@pytest.mark.parametrize(
    ("outcomes", "used", "advised"),
    [
        ({LEGACY: aged(1), COMMERCIAL: GONE, INSIGHTS: GONE}, LEGACY, "keep `api: legacy`"),
        ({LEGACY: aged(15), COMMERCIAL: aged(15), INSIGHTS: aged(60)}, LEGACY, f"set `api: insights`: {INSTEAD}"),
        ({LEGACY: aged(15), COMMERCIAL: aged(13), INSIGHTS: aged(60)}, LEGACY, f"set `api: commercial`: {INSTEAD}"),
        ({LEGACY: aged(15), COMMERCIAL: GONE, INSIGHTS: aged(76)}, INSIGHTS, "keep `api: insights`"),
        ({LEGACY: aged(15), COMMERCIAL: GONE, INSIGHTS: EMPTY}, LEGACY, "keep `api: legacy`"),
        ({LEGACY: aged(None), COMMERCIAL: GONE, INSIGHTS: EMPTY}, INSIGHTS, f"set `api: legacy`: {INSTEAD}"),
        ({LEGACY: aged(1), COMMERCIAL: aged(1), INSIGHTS: aged(60)}, INSIGHTS, "keep `api: insights`"),
        (
            {LEGACY: aged(1), COMMERCIAL: GONE, INSIGHTS: aged(60)},
            LEGACY,
            "keep `api: legacy`, or set `api: insights`, which gives licence counts too",
        ),
    ],
)
def test_current_data_decides_and_then_what_is_configured(
    outcomes: Mapping[Legacy | Commercial | Insights, Answer | PollError],
    used: Legacy | Commercial | Insights,
    advised: str,
) -> None:
    assert advice([Tried(source, outcome, source is used) for source, outcome in outcomes.items()], NOW) == advised


@pytest.mark.parametrize(
    ("used", "paths"),
    [
        (LEGACY, ["", USUAL, OTHER, ""]),
        (Commercial(usage.COMMERCIAL, max_series=10, path="/v1/own"), ["", "/v1/own", USUAL, OTHER, ""]),
        (Commercial(usage.COMMERCIAL, max_series=10, path=OTHER), ["", OTHER, USUAL, ""]),
    ],
)
def test_every_api_is_a_candidate_at_each_documented_path_and_at_the_configured_one(
    used: Legacy | Commercial, paths: list[str]
) -> None:
    found = candidates(used)
    assert [Tried(source, EMPTY, is_used=False).path for source in found] == paths
    assert [source.api for source in found] == [Api.LEGACY, *[Api.COMMERCIAL] * (len(paths) - 2), Api.INSIGHTS]
    assert used in found


def test_what_is_configured_is_asked_as_it_is_but_without_customers() -> None:
    used = Commercial(deployment.COMMERCIAL, max_series=7, detail=(Dimension.CUSTOMER,), filter="a eq 'b'")
    assert Commercial(deployment.COMMERCIAL, max_series=7, filter="a eq 'b'") in candidates(used)
    several = Insights(usage.INSIGHTS, data_sets=("OfficeUsage", "EMSUsage"), max_series=7)
    assert [source for source in candidates(several) if source.api is Api.INSIGHTS] == [several]
