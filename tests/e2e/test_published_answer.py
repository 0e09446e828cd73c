"""The response from Microsoft's documentation, all the way to a scrape."""

from tests.e2e.conftest import Serving

CRM_DAY = 1_489_104_000.0  # 2017-03-10T00:00:00Z
O365_DAY = 1_489_017_600.0


def test_the_published_usage_answer_comes_out_as_exactly_its_ten_samples(serving: Serving) -> None:
    scrape = serving.process.scrape()
    rows = [
        ("Microsoft Dynamics CRM", "crm", CRM_DAY),
        ("SharePoint", "crm", CRM_DAY),
        ("Exchange", "o365", O365_DAY),
        ("SharePoint", "o365", O365_DAY),
        ("Skype For Business", "o365", O365_DAY),
    ]
    expected = {}
    for workload, service, processed in rows:
        labels = {"partner": "contoso", "workload": workload, "service": service, "channel": "reseller"}
        series = frozenset(labels.items())
        expected["partnercenter_license_usage_ratio", series] = 0.0
        expected["partnercenter_license_usage_processed_timestamp_seconds", series] = processed
    usage = ("partnercenter_license_usage_ratio", "partnercenter_license_usage_processed_timestamp_seconds")
    shown = {series: value for series, value in scrape.named(*usage).items() if ("partner", "contoso") in series[1]}
    assert shown == expected
    assert scrape.value("partnercenter_rows", partner="contoso", source="usage") == 5
    assert scrape.value("partnercenter_up", partner="contoso", source="usage") == 1
