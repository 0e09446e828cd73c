"""Rules ask only for what the catalogue has: a series, a label or a value that doesn't exist never alerts."""

import re

import pytest

from exporter.metrics.catalogue import DEPLOYMENT_LABELS, USAGE_LABELS
from tests.support.promql import Checker, Labels, PromqlMistake, catalogued
from tests.support.rules import ALERTS, RECORDED, Rule

USAGE = "partnercenter_license_usage_ratio"


def checker() -> Checker:
    """Return one that knows the exporter's series and those that rules record."""
    own = Checker(catalogued())
    return Checker({**own.series, **{recorded.name: own.labels(recorded.expr) for recorded in RECORDED}})


def shown(alert: Rule) -> Labels:
    """Return the labels of an alert."""
    return checker().labels(alert.expr) | frozenset(alert.keys["labels"])


@pytest.mark.parametrize("recorded", RECORDED, ids=str)
def test_a_recorded_series_is_named_after_its_labels_and_its_metric(recorded: Rule) -> None:
    level, metric, operations = recorded.name.split(":")
    assert checker().labels(recorded.expr) == frozenset(level.split("_"))
    assert metric in recorded.expr
    assert operations.startswith("max")


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_an_alert_asks_for_series_labels_and_values_that_exist(alert: Rule) -> None:
    assert shown(alert)


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_an_alert_tells_one_partner_from_another_and_no_two_instances_apart(alert: Rule) -> None:
    labels = shown(alert)
    own = {"PartnerCenterStateNotWritable", "PartnerCenterConfigReloadFailed", "PartnerCenterLabelsClash"}
    if alert.name == "PartnerCenterExporterAbsent":
        assert labels == {"severity", "job"}
    elif alert.name in own:
        assert labels == {"severity", "job", "instance"}
    else:
        assert "partner" in labels
        assert not labels & {"job", "instance"}


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_the_text_of_an_alert_names_only_labels_that_it_has(alert: Rule) -> None:
    text = alert.keys["annotations"]["description"]
    named = set(re.findall(r"\$labels\.(\w+)", text))
    assert named <= shown(alert)
    assert named | {"severity"} >= shown(alert) - {"job"}


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_a_query_in_the_text_of_an_alert_asks_for_what_exists(alert: Rule) -> None:
    for query in re.findall(r'printf "([a-z].*?)" \$', alert.keys["annotations"]["description"]):
        checker().labels(query.replace("%q", '""'))


def test_a_clash_is_looked_for_at_every_label_of_the_data() -> None:
    [clash] = [alert for alert in ALERTS if alert.name == "PartnerCenterLabelsClash"]
    assert set(re.findall(r"exported_(\w+)", clash.expr)) == {*USAGE_LABELS, *DEPLOYMENT_LABELS, "source"}


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        (f"{USAGE}s > 0", "no such series"),
        ('{__name__=~"partnercentre_.+"}', "no such series"),
        (f'{USAGE}{{customer="x"}}', "no label customer"),
        ('partnercenter_up{source="licences"}', "source is never licences"),
        ('partnercenter_poll_failures_total{reason="throttle"}', "reason is never throttle"),
        (f"max by (partner, source) ({USAGE})", r"no labels \['source'\]"),
        (f"max by (partner, customer) (last_over_time({USAGE}[6h:5m]))", r"no labels \['customer'\]"),
        (f"{USAGE} unless partnercenter_up == 1", "not on both sides"),
        (f"{USAGE} and on (source) partnercenter_up == 1", "not on both sides"),
        (f"{USAGE} > ", "invalid promql"),
    ],
)
def test_a_mistake_is_found(expression: str, mistake: str) -> None:
    with pytest.raises(PromqlMistake, match=mistake):
        checker().labels(expression)


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        (f"-({USAGE})", {*USAGE_LABELS, "job", "instance"}),
        (f"max without (instance, job) ({USAGE}) > 0.5", {*USAGE_LABELS}),
        (f"{USAGE} unless on (partner) partnercenter_up", {*USAGE_LABELS, "job", "instance"}),
        ("partnercenter_auth_up and ignoring (source) partnercenter_up", {"partner", "job", "instance"}),
        (
            "rate(partnercenter_api_request_duration_seconds_bucket[5m])",
            {"partner", "source", "le", "job", "instance"},
        ),
        ("sum(partnercenter_up) + 1", set()),
    ],
)
def test_the_labels_of_what_is_right_are_known(expression: str, labels: set[str]) -> None:
    assert checker().labels(expression) == labels
