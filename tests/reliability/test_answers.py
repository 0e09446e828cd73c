"""Whatever the API answers: what is shown is what the contract makes of it, or what was shown before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import PayloadError
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import families
from exporter.metrics.snapshot import SnapshotStore
from exporter.model.rows import Answer, SourceName
from exporter.partner_center.client import ApiPoll
from exporter.sources import deployment, usage
from exporter.sources.legacy import Legacy
from partnercenter_simulator import Fault
from tests.fixtures import BOM, deployment_item, published, usage_item
from tests.fixtures.api import poll as poll_of
from tests.integration.exposition import Exposition
from tests.reliability import oracle
from tests.reliability.conftest import MakeRig
from tests.reliability.examples import as_json, examples, mutated, scalars, texts, values
from tests.reliability.oracle import Expected, Kind, Unusable
from tests.reliability.rig import Rig
from tests.support.upstream import MockUpstream

LIMIT = 4


@dataclass(frozen=True)
class Subject:
    """One source, and what it is to be compared with."""

    name: SourceName
    kind: Kind
    fetch: Callable[[ApiPoll], Answer]
    item: Callable[..., dict[str, Any]]


SUBJECTS = (
    Subject(SourceName.USAGE, oracle.USAGE, Legacy(usage.LEGACY, LIMIT).fetch, usage_item),
    Subject(SourceName.DEPLOYMENT, oracle.DEPLOYMENT, Legacy(deployment.LEGACY, LIMIT).fetch, deployment_item),
)
for_each_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=[subject.name for subject in SUBJECTS])

DATES: tuple[Any, ...] = (
    None, "2017-03-09T00:00:00+00:00", "2017-03-09T00:00:00Z", "2026-11-01", "2021-11-01T00:00:00",
    "2017-03-14T03:25:16.36+00:00", "2017-03-14T03:25:16.3612345Z", "", " ", "0001-01-01T00:00:00",
    "yesterday", "1969-12-31T00:00:00Z",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-13-01T00:00:00Z", "\ud800", 5, 1e99, [],
    True,
)  # fmt: skip
FIGURES = ("63", "63.5", "-1", "1e3", "1e400", "63 licences", " 5", "5.", ".5", "+5", "0x10", "1_0", "٣", "NULL")


LINKS: tuple[dict[str, Any], ...] = (
    {"@nextLink": None}, {"nextLink": "/v1/next"}, {"links": None}, {"links": {"self": {"uri": "/v1/x"}}},
    {"links": {"next": None}}, {"links": {"next": {"uri": None}}}, {"links": {"next": {"uri": "/x?skip=1"}}},
    {"links": {"next": {"href": "/x"}}}, {"links": {"next": "/x"}}, {"links": [1]},
)  # fmt: skip
FEW_LABELS = st.sampled_from(("Exchange", "SharePoint", "Yammer"))


def good_items(subject: Subject) -> st.SearchStrategy[Any]:
    """Return a strategy for rows that can be used, though not all of them at once."""
    labels = dict.fromkeys(subject.kind.labels.values(), FEW_LABELS | texts.filter(bool))
    dates = {"processedDateTime": st.sampled_from(DATES[:7])}
    return st.fixed_dictionaries(labels, optional=dates).map(lambda changes: subject.item(**changes))


def odd_items(subject: Subject) -> st.SearchStrategy[Any]:
    """Return a strategy for rows with hostile values, for incomplete rows, and for what is no row."""
    good = subject.item()
    labels = subject.kind.labels.values()
    figures = {subject.kind.percent, subject.kind.sold} - {""}
    hostile: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(labels, FEW_LABELS | texts | values),
        **dict.fromkeys(figures, scalars | values | st.sampled_from(FIGURES)),
        "processedDateTime": st.sampled_from(DATES),
    }
    changed = st.fixed_dictionaries({}, optional=hostile).map(lambda changes: good | changes)
    lacking = st.sets(st.sampled_from(sorted(good))).map(lambda gone: {key: good[key] for key in good.keys() - gone})
    return changed | lacking | values


def pages(subject: Subject) -> st.SearchStrategy[bytes]:
    """Return a strategy for bodies: mostly almost right ones, and some of any JSON, and any bytes."""
    rows = st.builds(
        lambda good, odd: [*odd[:2], *good, *odd[2:]],
        st.lists(good_items(subject), max_size=4),
        st.lists(odd_items(subject), max_size=5),
    )
    envelope = st.builds(
        lambda key, items, off, total, link, rest: {
            **rest,
            **link,
            "totalCount": len(items) + off if total is None else total,
            key: items,
        },
        st.sampled_from(("items", "items", "items", "Value", "value")),
        rows,
        st.sampled_from((0, 0, 0, 1, -1)),
        st.none() | st.none() | values,
        st.sampled_from(({}, {}, {}, *LINKS)),
        st.dictionaries(texts, values, max_size=2),
    )
    odd = st.dictionaries(st.sampled_from(("items", "Value", "totalCount")), values | st.just(0), max_size=2)
    kinds = (
        *[written(envelope)] * 6,
        written(odd),
        written(values),
        mutated(published(subject.name)),
        st.binary(max_size=40),
    )
    return st.integers(0, len(kinds) - 1).flatmap(lambda kind: kinds[kind])


def written(documents: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return a strategy for documents as bytes, with or without a byte-order mark."""
    bodies = st.builds(as_json, documents, ascii_only=st.booleans())
    return st.builds(lambda mark, body: BOM + body if mark else body, st.booleans(), bodies)


def expectation(subject: Subject, body: bytes, *, limit: int = 100_000) -> Expected | None:
    """Return what the contract makes of a body; None where the poll must fail."""
    try:
        return oracle.expected(body, subject.kind, limit=limit)
    except Unusable:
        return None


def fetched(subject: Subject, body: bytes) -> Answer | None:
    """Return what the source makes of a body; None where it refuses it as a payload."""
    with httpx.Client(transport=MockUpstream(lambda _: httpx.Response(200, content=body))) as client:
        try:
            return subject.fetch(poll_of(client))
        except PayloadError:
            return None


@for_each_subject
@given(data=st.data())
@examples(40)
def test_any_answer_becomes_what_the_contract_says(subject: Subject, data: st.DataObject) -> None:
    body = data.draw(pages(subject))
    wanted, answer = expectation(subject, body, limit=LIMIT), fetched(subject, body)
    assert (answer is None) == (wanted is None), body
    if answer is None or wanted is None:
        return
    assert len(answer.rows) == wanted.rows
    assert {str(reason): count for reason, count in answer.dropped.items()} == wanted.dropped
    store, metrics = SnapshotStore(), ExporterMetrics(revision="test")
    store.publish("contoso", subject.name, families("contoso", answer.rows, ()))
    plain = b"".join(block.plain for block in store.current.blocks)
    for scrape in (
        Exposition((plain + metrics.text()).decode()),
        Exposition((plain + metrics.openmetrics()).decode(), openmetrics=True),
    ):
        assert dict(scrape.data) == pytest.approx(wanted.samples, abs=0, rel=1e-12)


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """An exporter of the usage source alone, after a good poll."""
    rig = make_rig(sources={"deployment": {"enabled": False}})
    rig.start()
    rig.settle()
    return rig


@given(body=pages(SUBJECTS[0]))
@example(body=b"[" * 100_000)
@example(body=b'{"items":' + b"9" * 5_000 + b"}")
@examples(15)
def test_any_answer_over_the_wire_is_shown_or_leaves_the_old_data(rig: Rig, body: bytes) -> None:
    subject = SUBJECTS[0]
    before = rig.see()
    rig.simulator.faults.add(Fault(kind="replace_body", endpoint="usage", content=body, times=1))
    rig.next_poll()
    seen = rig.see()
    wanted = expectation(subject, body)
    assert seen.of_source("up") == (0 if wanted is None else 1)
    failures = {reason: seen.of_source("poll_failures_total", reason=reason) for reason in ("payload", "internal")}
    known = before.of_source("poll_failures_total", reason="payload") or 0.0
    assert failures == {"payload": known + (wanted is None), "internal": 0}
    shown = before.scrape.data if wanted is None else wanted.samples
    assert dict(seen.scrape.data) == pytest.approx(shown, abs=0, rel=1e-12)
    assert rig.openmetrics().data == seen.scrape.data
    assert rig.page("/")
