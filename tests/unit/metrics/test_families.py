"""Rows into samples."""

from exporter.metrics import catalogue
from exporter.metrics.exposition import families
from exporter.metrics.targets import CustomerSeries, Target
from exporter.model.rows import DeploymentRow, UsageRow

USAGE = UsageRow("Exchange", "o365", "reseller", 0.25, 1489104000.0)
DEPLOYMENT = DeploymentRow("o365", "reseller", 0.01, 4464.0, 1489461916.36)

CUSTOMER = CustomerSeries("c1", ("Exchange", "o365", "reseller"))


def test_a_usage_row_becomes_its_ratio_its_date_and_its_target() -> None:
    labels = ("contoso", "Exchange", "o365", "reseller")
    assert families("contoso", [USAGE], [Target(ratio=0.5)]) == {
        catalogue.USAGE_RATIO: [(labels, 0.25)],
        catalogue.USAGE_PROCESSED: [(labels, 1489104000.0)],
        catalogue.USAGE_TARGET: [(labels, 0.5)],
    }


def test_a_deployment_row_becomes_its_ratio_its_licences_and_its_date() -> None:
    labels = ("contoso", "o365", "reseller")
    assert families("contoso", [DEPLOYMENT], [Target(ratio=0.5)]) == {
        catalogue.DEPLOYMENT_RATIO: [(labels, 0.01)],
        catalogue.LICENSES_SOLD: [(labels, 4464.0)],
        catalogue.DEPLOYMENT_PROCESSED: [(labels, 1489461916.36)],
    }


def test_what_the_api_did_not_give_is_no_sample() -> None:
    assert families("contoso", [UsageRow("Exchange", "o365", "reseller")], []) == {}
    assert families("contoso", [DeploymentRow("o365", "reseller", sold=0.0)], []) == {
        catalogue.LICENSES_SOLD: [(("contoso", "o365", "reseller"), 0.0)]
    }


def test_a_series_without_usage_has_no_target() -> None:
    row = UsageRow("Exchange", "o365", "reseller", None, 1489104000.0)
    assert families("contoso", [row], [Target(ratio=0.5)]).keys() == {catalogue.USAGE_PROCESSED}


def test_a_value_of_zero_is_a_sample() -> None:
    row = UsageRow("Exchange", "o365", "reseller", 0.0)
    assert families("contoso", [row], [Target(ratio=0.0)]).keys() == {catalogue.USAGE_RATIO, catalogue.USAGE_TARGET}


def test_a_target_of_another_series_is_no_sample() -> None:
    assert catalogue.USAGE_TARGET not in families("contoso", [USAGE], [Target(ratio=0.5, workload="Teams")])


COUNTED_USAGE = UsageRow("Exchange", "o365", "reseller", 0.25, 1489104000.0, active=25.0, qualified=100.0)
COUNTED_DEPLOYMENT = DeploymentRow("o365", "reseller", 0.01, 4464.0, 1489461916.36, deployed=44.64)
INFOS = {catalogue.CUSTOMER_INFO, catalogue.PRODUCT_INFO}


def test_every_data_metric_but_the_names_comes_from_some_row() -> None:
    produced = {
        **families("contoso", [COUNTED_USAGE], [Target(ratio=0.5), Target(ratio=0.9, customer="c1")], [CUSTOMER]),
        **families("contoso", [COUNTED_DEPLOYMENT], []),
    }
    assert produced.keys() == set(catalogue.DATA) - INFOS


def test_counts_become_samples_beside_the_ratio() -> None:
    produced = families("contoso", [COUNTED_USAGE], [])
    labels = ("contoso", "Exchange", "o365", "reseller")
    assert produced[catalogue.LICENSES_ACTIVE] == [(labels, 25.0)]
    assert produced[catalogue.LICENSES_QUALIFIED] == [(labels, 100.0)]
    deployed = families("contoso", [COUNTED_DEPLOYMENT], [])[catalogue.LICENSES_DEPLOYED]
    assert deployed == [(("contoso", "o365", "reseller"), 44.64)]


def test_the_label_values_are_as_many_as_the_label_names() -> None:
    targets = [Target(ratio=0.5), Target(ratio=0.9, customer="c1")]
    produced = {**families("contoso", [USAGE], targets, [CUSTOMER]), **families("contoso", [DEPLOYMENT], [])}
    assert produced[catalogue.CUSTOMER_TARGET] == [(("contoso", "Exchange", "o365", "reseller", "c1"), 0.9)]
    for metric, samples in produced.items():
        assert {len(labels) for labels, _ in samples} == {len(metric.labels)}
