"""A good configuration becomes what it says, with the defaults of the contract."""

from pathlib import Path

import pytest
import trustme

from exporter.auth.credential import ClientCertificate, ClientSecret, FederatedToken
from exporter.config import Config, PartnerConfig, load
from exporter.errors import ConfigurationError
from exporter.metrics.targets import Target
from exporter.model.rows import SourceName
from exporter.model.status import Identity
from exporter.redaction import Secret
from exporter.sources import deployment, usage
from exporter.sources.legacy import Legacy
from tests.unit.config.conftest import PARTNER, Read

TENANT = "8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34"


def only(partners: tuple[PartnerConfig, ...]) -> PartnerConfig:
    (partner,) = partners
    return partner


def intervals(config: Config) -> dict[SourceName, float]:
    return {enabled.source.endpoint.row.SOURCE: enabled.interval_seconds for enabled in only(config.partners).sources}


def test_a_partner_alone_gets_the_defaults_of_the_contract(read: Read) -> None:
    config = read(PARTNER)
    assert (config.shared.timeout_seconds, config.shared.max_staleness_seconds) == (30.0, 72 * 3_600.0)
    sources = only(config.partners).sources
    assert [enabled.source for enabled in sources] == [
        Legacy(usage.LEGACY, 100_000),
        Legacy(deployment.LEGACY, 100_000),
    ]
    assert {enabled.interval_seconds for enabled in sources} == {3_600.0}
    assert (config.targets, config.shared.ca_file, config.shared.proxy_url) == ((), None, None)
    assert config.state_dir == Path("/var/lib/partnercenter-exporter")
    assert only(config.partners).refresh_token_file is None


@pytest.mark.parametrize(
    ("cloud", "login", "api"),
    [
        ("", "https://login.microsoftonline.com", "https://api.partnercenter.microsoft.com"),
        ("global", "https://login.microsoftonline.com", "https://api.partnercenter.microsoft.com"),
        ("usgov", "https://login.microsoftonline.us", "https://api.partnercenter.microsoft.com"),
        ("china", "https://login.partner.microsoftonline.cn", "https://partner.partnercenterapi.microsoftonline.cn"),
    ],
)
def test_the_cloud_sets_authority_api_and_scope(with_key: Read, cloud: str, login: str, api: str) -> None:
    partner = only(with_key(f"cloud: {cloud}").partners)
    assert partner.registration.authority == f"{login}/{TENANT}"
    assert (partner.api_url, partner.registration.scope) == (api, f"{api}/user_impersonation")
    assert partner.registration.identity == Identity(cloud or "global", TENANT, "5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1")


def test_authority_api_and_scope_can_each_be_overridden(with_key: Read) -> None:
    whole = with_key("authority: https://login.example:8443/T/\napi_url: https://api.example/\nscope: https://a/x")
    partner = only(whole.partners)
    assert partner.registration.authority == "https://login.example:8443/T"
    assert (partner.api_url, partner.registration.scope) == ("https://api.example", "https://a/x")
    one = only(with_key("cloud: china\napi_url: https://api.example").partners)
    assert one.registration.authority.startswith("https://login.partner.microsoftonline.cn/")
    assert one.api_url == "https://api.example"


@pytest.mark.parametrize(
    ("common", "own", "seconds"),
    [
        ("", "", 3_600.0),
        ("{enabled: false}", "", None),
        ("", "{enabled: no}", None),
        ("{enabled: false}", "{enabled: true}", 3_600.0),
        ("{enabled: false, interval: 2h}", "{enabled: true}", 7_200.0),
        ("{interval: 2h}", "{interval: 3h}", 10_800.0),
        ("{interval: 2h}", "{api: legacy}", 7_200.0),
        ("{interval: 2h}", "", 7_200.0),
    ],
)
def test_a_source_key_is_the_partners_own_or_else_the_common_one(
    read: Read, common: str, own: str, seconds: float | None
) -> None:
    config = read(f"{PARTNER}    sources:\n      usage: {own}\nsources:\n  usage: {common}\n")
    assert intervals(config).get(SourceName.USAGE) == seconds


def test_the_interval_of_poll_applies_to_sources_that_have_none(read: Read) -> None:
    config = read(PARTNER + "poll: {interval: 4h}\nsources: {deployment: {interval: 5m}}\n")
    assert intervals(config)[SourceName.USAGE] == 14_400.0
    assert intervals(config)[SourceName.DEPLOYMENT] == 300.0


def test_targets_are_read_unchanged(read: Read) -> None:
    config = read(
        PARTNER + "sources: {usage: {api: commercial, detail: [customer]}}\n"
        "targets:\n  - {ratio: 0.5}\n  - {ratio: 1, workload: Exchange}\n  - {ratio: 0.9, customer: C1}\n"
        "  - {ratio: '0', partner: contoso, service: o365, channel: reseller}\n"
    )
    assert config.targets == (
        Target(ratio=0.5),
        Target(ratio=1.0, workload="Exchange"),
        Target(ratio=0.9, customer="C1"),
        Target(ratio=0.0, partner="contoso", service="o365", channel="reseller"),
    )


def test_relative_paths_resolve_from_the_files_folder(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    (tmp_path / "secret").write_text("hunter2\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    config = read(
        PARTNER.replace("client_secret: hunter2", "client_secret_file: secret\n    refresh_token_file: seed/rt")
        + "http: {ca_file: ca.pem}\nstate_dir: ./state\n"
    )
    partner = only(config.partners)
    assert isinstance(partner.credential, ClientSecret)
    assert partner.credential.file == tmp_path / "secret"
    assert partner.refresh_token_file == tmp_path / "seed/rt"
    assert config.shared.ca_file == tmp_path / "ca.pem"
    assert config.state_dir == tmp_path / "state"


def test_a_relative_file_name_resolves_from_where_the_program_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(PARTNER + "state_dir: state\n")
    monkeypatch.chdir(tmp_path)
    assert load(Path("config.yaml"), {}).state_dir == tmp_path / "state"


def test_paths_are_relative_to_the_link_that_names_the_file_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    (tmp_path / "..2027").mkdir()
    (tmp_path / "..2027/config.yaml").write_text(PARTNER + "state_dir: state\n")
    (tmp_path / "config.yaml").symlink_to("..2027/config.yaml")
    assert load(tmp_path / "config.yaml", {}).state_dir == tmp_path / "state"


def test_an_absolute_path_stays(read: Read) -> None:
    assert read(PARTNER + "state_dir: /srv/state\n").state_dir == Path("/srv/state")


def test_a_client_secret_is_kept_without_being_shown(read: Read) -> None:
    config = read(PARTNER.replace("hunter2", "hunter2\n    client_secret_expires: 2027-05-01"))
    credential = only(config.partners).credential
    assert isinstance(credential, ClientSecret)
    assert credential.value == Secret("hunter2")
    assert credential.expiry() == 1809129600.0
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2027-05-01", 1809129600.0), ("2027-05-01T12:00:00Z", 1809172800.0), ("2027-05-01T02:00:00+02:00", 1809129600.0)],
)
def test_the_expiry_of_a_secret_is_in_utc_unless_it_has_an_offset(with_key: Read, written: str, seconds: float) -> None:
    assert only(with_key(f"client_secret_expires: {written}").partners).credential.expiry() == seconds


def test_a_certificate_may_include_its_key_or_have_it_in_another_file(
    read: Read, certificate: trustme.LeafCert, tmp_path: Path
) -> None:
    del certificate
    for keys in (
        "client_certificate_file: client.pem",
        "client_certificate_file: client.crt\n    client_certificate_key_file: client.key",
    ):
        partner = only(read(PARTNER.replace("client_secret: hunter2", keys)).partners)
        assert isinstance(partner.credential, ClientCertificate)
        assert partner.credential.certificate_file.parent == tmp_path
        assert partner.credential.expiry()


def test_a_federated_token_is_read_from_its_file(read: Read, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJ.x.y\n")
    partner = only(read(PARTNER.replace("client_secret: hunter2", "federated_token_file: token")).partners)
    assert partner.credential == FederatedToken(tmp_path / "token")


def test_a_proxy_s_address_is_a_secret_since_it_may_contain_a_password(read: Read) -> None:
    config = read(PARTNER + "http: {proxy_url: 'http://me:hunter3@proxy:3128'}\n")
    assert config.shared.proxy_url == Secret("http://me:hunter3@proxy:3128")
    assert "hunter3" not in repr(config)


def test_what_stands_around_a_proxy_s_address_does_not_matter(read: Read) -> None:
    config = read(PARTNER + 'http: {proxy_url: " \\uFEFFhttp://me:hunter3@proxy:3128\\n"}\n')
    assert config.shared.proxy_url == Secret("http://me:hunter3@proxy:3128")


def test_several_partners_keep_their_order(read: Read) -> None:
    more = "".join(PARTNER.removeprefix("partners:\n").replace("contoso", name) for name in ("b", "A.x-1_"))
    assert [partner.name for partner in read(PARTNER + more).partners] == ["contoso", "b", "A.x-1_"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1m", 60.0),
        ("90s", 90.0),
        ("60000ms", 60.0),
        ("1h30m", 5_400.0),
        ("1d", 86_400.0),
        ("1w", 604_800.0),
        ("1d12h30m10s500ms", 131_410.5),
        ("'1h'", 3_600.0),
        ("120m", 7_200.0),
        ("03600s", 3_600.0),
    ],
)
def test_durations_are_those_of_prometheus(read: Read, written: str, seconds: float) -> None:
    config = read(PARTNER + f"poll: {{interval: {written}, max_staleness: 1y}}\n")
    assert only(config.partners).sources[0].interval_seconds == seconds
    assert config.shared.max_staleness_seconds == 365 * 86_400.0


@pytest.mark.parametrize("word", ["no", "off", "true", "0123456", "1e3", "0x1F", "1_000", "12:30:00", "2027-05-01"])
def test_words_that_yaml_would_convert_stay_strings(read: Read, word: str) -> None:
    text = PARTNER.replace("contoso", "no").replace("hunter2", word)
    partner = only(read(text).partners)
    assert partner.name == "no"
    assert isinstance(partner.credential, ClientSecret)
    assert partner.credential.value == Secret(word)


def test_anchors_and_aliases_may_be_used(read: Read) -> None:
    config = read(
        PARTNER.replace("client_secret: hunter2", "client_secret: hunter2\n    sources: &s {usage: {interval: 2h}}")
        + "sources: *s\n"
    )
    assert only(config.partners).sources[0].interval_seconds == 7_200.0


def test_a_byte_order_mark_and_other_line_endings_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + PARTNER.replace("\n", "\r\n").encode())
    assert only(load(file, {}).partners).name == "contoso"


def test_a_key_without_a_value_is_a_key_that_is_not_there(read: Read) -> None:
    config = read(
        PARTNER
        + "    cloud:\n    authority: ~\n    client_secret_file: null\n    sources:\n"
        + "poll: {interval: }\nsources:\ntargets:\nhttp: {ca_file: }\nstate_dir:\n"
    )
    assert config == read(PARTNER)


def test_equal_texts_make_equal_configurations(read: Read) -> None:
    assert read(PARTNER) == read("# a comment\n" + PARTNER)
    assert read(PARTNER) != read(PARTNER.replace("hunter2", "hunter3"))


def test_a_file_that_is_not_there_is_a_mistake_that_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"No such file.*--config\.file"):
        load(tmp_path / "nowhere.yaml", {})
    with pytest.raises(ConfigurationError, match="can't read it: Is a directory"):
        load(tmp_path, {})
