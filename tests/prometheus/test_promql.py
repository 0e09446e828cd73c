"""Rules use only what the catalogue has: an unknown series, label or value would never alert."""

import re
from itertools import permutations

import pytest

from exporter.metrics.catalogue import DEPLOYMENT_RATIO, USAGE_RATIO
from tests.support.promql import PLACE, TARGET, Checker, Labels, PromqlMistake, catalogued
from tests.support.rules import ALERTS, RECORDED, Rule

USAGE = "partnercenter_license_usage_ratio"


def checker() -> Checker:
    """Return a checker that knows the exporter's series and the recorded ones."""
    known = catalogued()
    for recorded in RECORDED:  # some of them are made of earlier ones
        known[recorded.name] = Checker(known).labels(recorded.expr)
    return Checker(known)


def labels_of(alert: Rule) -> Labels:
    """Return the labels of an alert."""
    return checker().labels(alert.expr) | frozenset(alert.keys["labels"])


@pytest.mark.parametrize("recorded", RECORDED, ids=str)
def test_a_recorded_series_is_named_after_its_labels_and_its_metric(recorded: Rule) -> None:
    level, metric, operations = recorded.name.split(":")
    labels = checker().labels(recorded.expr)
    assert level in {"_".join(order) for order in permutations(labels - PLACE)}
    assert labels >= PLACE
    assert metric in recorded.expr
    assert operations


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_an_alert_uses_series_labels_and_values_that_exist(alert: Rule) -> None:
    assert labels_of(alert)


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_an_alert_distinguishes_partners_but_not_instances(alert: Rule) -> None:
    labels = labels_of(alert)
    own = {
        "PartnerCenterClockWrong",
        "PartnerCenterStateNotWritable",
        "PartnerCenterConfigReloadFailed",
        "PartnerCenterLabelsClash",
        "PartnerCenterExporterDown",
    }
    if alert.name == "PartnerCenterExporterAbsent":
        assert labels == {"severity", "job"}
    elif alert.name in own:
        assert labels == {"severity", *TARGET, *PLACE}
    else:
        assert labels >= {"partner", *PLACE}
        assert not labels & TARGET


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_the_text_of_an_alert_names_only_labels_that_it_has(alert: Rule) -> None:
    text = alert.keys["annotations"]["description"]
    named = set(re.findall(r"\$labels\.(\w+)", text))
    assert named <= labels_of(alert)
    assert named | {"severity"} >= labels_of(alert) - {"job"} - PLACE


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_a_query_in_the_text_of_an_alert_uses_what_exists(alert: Rule) -> None:
    for query in re.findall(r'printf "([a-z].*?)" \$', alert.keys["annotations"]["description"]):
        checker().labels(query.replace("%q", '""'))


def test_the_clash_alert_covers_every_label_of_the_data() -> None:
    [clash] = [alert for alert in ALERTS if alert.name == "PartnerCenterLabelsClash"]
    assert set(re.findall(r"exported_(\w+)", clash.expr)) == {*USAGE_RATIO.labels, *DEPLOYMENT_RATIO.labels, "source"}


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
        (f"-({USAGE})", {*USAGE_RATIO.labels, *TARGET, *PLACE}),
        (f"max without (instance, job) ({USAGE}) > 0.5", {*USAGE_RATIO.labels, *PLACE}),
        (f"{USAGE} unless on (partner) partnercenter_up", {*USAGE_RATIO.labels, *TARGET, *PLACE}),
        ("partnercenter_auth_up and ignoring (source) partnercenter_up", {"partner", *TARGET, *PLACE}),
        ("rate(partnercenter_api_request_duration_seconds_bucket[5m])", {"partner", "source", "le", *TARGET, *PLACE}),
        ("sum(partnercenter_up) + 1", set()),
        (f"bottomk(1, max by (partner, workload) ({USAGE}))", {"partner", "workload"}),
        (f"topk by (partner) (1, max by (partner, workload) ({USAGE}))", {"partner", "workload"}),
    ],
)
def test_the_labels_of_a_valid_expression_are_inferred(expression: str, labels: set[str]) -> None:
    assert checker().labels(expression) == labels
