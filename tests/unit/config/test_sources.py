"""Which APIs each source has, and which keys go with which API."""

import pytest

from exporter.model.rows import Api, SourceName
from exporter.sources import usage
from exporter.sources.commercial import Commercial
from exporter.sources.legacy import Legacy
from tests.unit.config.conftest import PARTNER, Mistakes, Read

# Every combination: a new source or API fails here until it is said whether the file may ask for it.
ACCEPTED = {
    (SourceName.USAGE, Api.LEGACY): True,
    (SourceName.USAGE, Api.COMMERCIAL): True,
    (SourceName.DEPLOYMENT, Api.LEGACY): True,
    (SourceName.DEPLOYMENT, Api.COMMERCIAL): True,
}
# Every key that some APIs have and others don't.
KEYS_OF = {Api.LEGACY: {}, Api.COMMERCIAL: {"detail": "[customer]", "filter": "a eq 'b'", "path": "/v1/x"}}
PATH = "use a path below api_url, without a query: /v1/…"


@pytest.mark.parametrize("source", SourceName)
@pytest.mark.parametrize("api", Api)
def test_a_source_takes_the_apis_that_it_has(read: Read, mistakes: Mistakes, source: SourceName, api: Api) -> None:
    text = f"{PARTNER}sources:\n  {source}:\n    api: {api}\n"
    if ACCEPTED[source, api]:
        assert [s.source.api for s in read(text).partners[0].sources if source == s.source.endpoint.row.SOURCE] == [api]
    else:
        (mistake,) = mistakes(text)
        assert mistake.startswith(f"8: sources.{source}.api: ")


@pytest.mark.parametrize("source", SourceName)
def test_an_api_that_no_source_has_is_refused(mistakes: Mistakes, source: SourceName) -> None:
    apis = " or ".join(repr(str(api)) for api in Api if ACCEPTED[source, api])
    assert mistakes(f"{PARTNER}    sources:\n      {source}: {{api: new}}\n") == [
        f"7: partners[0].sources.{source}.api: expected {apis}"
    ]


@pytest.mark.parametrize(("source", "chosen"), [pair for pair, accepted in ACCEPTED.items() if accepted])
@pytest.mark.parametrize("needed", Api)
def test_a_key_of_another_api_is_refused(
    read: Read, mistakes: Mistakes, source: SourceName, chosen: Api, needed: Api
) -> None:
    keys = KEYS_OF[needed]
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    text = f"{PARTNER}sources:\n  {source}:\n    api: {chosen}\n{lines}"
    if chosen == needed or not keys:
        assert read(text).partners
        return
    problem = f"only valid with `api: {needed}`: add that" if ACCEPTED[source, needed] else "unknown key"
    for line, (key, mistake) in enumerate(zip(keys, mistakes(text), strict=True), start=9):
        assert mistake.startswith(f"{line}: sources.{source}.{key}: {problem}")


def test_the_api_that_counts_is_the_partners_own(mistakes: Mistakes) -> None:
    own = "    sources: {usage: {api: legacy, filter: a eq 'b'}}\nsources: {usage: {api: commercial}}\n"
    assert mistakes(PARTNER + own) == [
        "6: partners[0].sources.usage.filter: only valid with `api: commercial`: add that, or remove this"
    ]


def test_common_keys_may_wait_for_a_partner_that_chooses_their_api(read: Read) -> None:
    more = PARTNER.removeprefix("partners:\n").replace("contoso", "fabrikam")
    config = read(f"{PARTNER}    sources: {{usage: {{api: commercial}}}}\n{more}sources: {{usage: {{path: /v1/x}}}}\n")
    commercial, legacy = (partner.sources[0].source for partner in config.partners)
    assert commercial == Commercial(usage.COMMERCIAL, max_series=100_000, path="/v1/x")
    assert legacy == Legacy(usage.LEGACY, 100_000)


@pytest.mark.parametrize("api", ["new", "${UNSET}"])
def test_a_wrong_api_causes_no_further_mistakes(mistakes: Mistakes, api: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}sources: {{usage: {{api: '{api}', path: /v1/x}}}}\n")
    assert mistake.startswith("6: sources.usage.api: ")


@pytest.mark.parametrize("wrong", ["enabled: perhaps", "interval: fast", "filter: ''", "bogus: x"])
def test_a_wrong_key_of_a_source_hides_nothing_else_of_it(mistakes: Mistakes, wrong: str) -> None:
    keys = f"{{interval: 37h, path: /v1/x, {wrong}}}" if "interval" not in wrong else f"{{path: /v1/x, {wrong}}}"
    found = mistakes(f"{PARTNER}sources:\n  usage: {keys}\n")
    assert any(".usage.path: only valid with" in mistake for mistake in found)
    assert "interval" in wrong or any("poll.max_staleness must be" in mistake for mistake in found)


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ("detail: [tenant]", "detail[0]: expected 'customer' or 'product'"),
        ("detail: [product, product]", "detail: duplicate entry: keep one"),
        ("detail: customer", "detail: expected a list: start each entry with a dash"),
        ("path: v1/x", f"path: {PATH}"),
        ("path: //x.example/v1", f"path: {PATH}"),
        ("path: '/v1/x?top=1'", f"path: {PATH}"),
        ('filter: "a\\nb"', "filter: write the filter on one line, for example channel eq 'reseller'"),
    ],
)
def test_a_wrong_value_of_the_commercial_api_is_explained(mistakes: Mistakes, keys: str, wrong: str) -> None:
    found = mistakes(PARTNER + f"sources: {{usage: {{api: commercial, {keys}}}}}\n")
    assert found == [f"6: sources.usage.{wrong}"]
