"""Every mistake is reported at once: its line, its path and its fix."""

from pathlib import Path

import httpx
import pytest
import trustme

from exporter.model.rows import SourceName
from tests.support.files import UNUSABLE
from tests.unit.config.conftest import PARTNER, Mistakes, Read

ALL_OFF = "{" + ", ".join(f"{source}: {{enabled: false}}" for source in SourceName) + "}"
DURATION = "invalid duration: write it like 90s, 15m, 1h30m or 3d"


PROXY_FORM = "use http://host:port or http://user:password@host:port, with %XX for special characters in the password"


def test_mistakes_of_every_kind_are_reported_together_in_the_files_order(mistakes: Mistakes) -> None:
    text = f"""\
partners:
  - name: contoso/west
    tenant_id: common
    client_id: ${{CLIENT_ID}}
    client_secret: a
    client_secret_file: nowhere
    cloud: moon
    sources: {{usage: {{interval: 40h}}, deployment: {{intervall: 1h}}}}
  - name: b
    tenant_id: t
    client_id: c
    authority: http://login.example/t
  - name: B
    tenant_id: t
    client_id: c
    client_secret: x
    sources: {ALL_OFF}
poll:
  interval: 30s
targets:
  - {{ratio: 50}}
  - {{ratio: 0.5, workload: Exchange}}
  - {{workload: Exchange, ratio: 0.6}}
http:
  proxy_url: proxy
  ca_file: nowhere.pem
polls: {{}}
"""
    places = [mistake.split(": ")[:2] for mistake in mistakes(text)]
    assert places == [
        ["2", "partners[0].name"],
        ["3", "partners[0].tenant_id"],
        ["4", "partners[0].client_id"],
        ["6", "partners[0].client_secret_file"],
        ["6", "partners[0].client_secret_file"],
        ["7", "partners[0].cloud"],
        ["8", "partners[0].sources.deployment.intervall"],
        ["8", "partners[0].sources.usage.interval"],
        ["9", "partners[1]"],
        ["12", "partners[1].authority"],
        ["13", "partners[2]"],
        ["13", "partners[2].name"],
        ["19", "poll.interval"],
        ["21", "targets[0].ratio"],
        ["23", "targets[2]"],
        ["25", "http.proxy_url"],
        ["26", "http.ca_file"],
        ["27", "polls"],
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", " partners: this key is required"),
        ("# nothing\n", " partners: this key is required"),
        ("partners: []\n", "1: partners: expected at least one entry"),
        ("partners:\n", "1: partners: this key is required"),
        ("partners: contoso\n", "1: partners: expected a list: start each entry with a dash"),
        ("partners: [contoso]\n", "1: partners[0]: expected a mapping of keys to values"),
        ("partners: [null]\n", "1: partners[0]: expected a mapping of keys to values"),
        ("- a\n- b\n", "1: expected a mapping of keys to values"),
        ("just words", "1: expected a mapping of keys to values"),
        (PARTNER + "poll: {max_series: many}\n", "6: poll.max_series: expected an integer"),
        (PARTNER + "poll: {max_series: 0}\n", "6: poll.max_series: must be at least 1"),
        (PARTNER + "targets: [{}]\n", "6: targets[0].ratio: this key is required"),
        (PARTNER + "targets: [{ratio: half}]\n", "6: targets[0].ratio: expected a number"),
        (PARTNER + "targets: [{ratio: nan}]\n", "6: targets[0].ratio: expected a finite number"),
        (PARTNER + "targets: [{ratio: 1.1}]\n", "6: targets[0].ratio: must be at most 1"),
        (PARTNER + "targets: [{ratio: 1, workload: ''}]\n", "6: targets[0].workload: expected a non-empty string"),
        (PARTNER + "targets: [{ratio: 1, workload: [a]}]\n", "6: targets[0].workload: expected a string"),
        (PARTNER + "sources: {usage: {enabled: perhaps}}\n", "6: sources.usage.enabled: expected true or false"),
        (
            PARTNER + "sources: {usage: {api: new}}\n",
            "6: sources.usage.api: expected 'legacy', 'commercial' or 'insights'",
        ),
        (PARTNER + "poll: {timeout: fast}\n", f"6: poll.timeout: {DURATION}"),
        (PARTNER + "state_dir: ''\n", "6: state_dir: expected a path"),
        (PARTNER + 'state_dir: "a\\0b"\n', "6: state_dir: expected a path"),
        (PARTNER + 'state_dir: "\\ud800"\n', "6: state_dir: expected a path"),
        (PARTNER + "http: {proxy_url: 'proxy:3128'}\n", f"6: http.proxy_url: {PROXY_FORM}"),
    ],
)
def test_a_mistake_is_reported_with_its_line_its_path_and_its_fix(mistakes: Mistakes, text: str, mistake: str) -> None:
    assert mistakes(text) == [mistake]


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("name: ", "2: partners[0].name: this key is required"),
        ("name: ''", "2: partners[0].name: use 1 to 128 characters from A-Z a-z 0-9 _ . -"),
        ("name: a/../b", "2: partners[0].name: use 1 to 128 characters from A-Z a-z 0-9 _ . -"),
        ('name: "a\\n"', "2: partners[0].name: use 1 to 128 characters from A-Z a-z 0-9 _ . -"),
        (f"name: {'x' * 129}", "2: partners[0].name: use 1 to 128 characters from A-Z a-z 0-9 _ . -"),
    ],
)
def test_a_partners_name_is_one_plain_word(mistakes: Mistakes, line: str, mistake: str) -> None:
    assert mistakes(PARTNER.replace("name: contoso", line)) == [mistake]


@pytest.mark.parametrize("tenant", ["common", "Organizations", "consumers"])
def test_a_shared_tenant_is_refused(mistakes: Mistakes, tenant: str) -> None:
    (mistake,) = mistakes(PARTNER.replace("8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34", tenant))
    assert mistake == "3: partners[0].tenant_id: use the partner tenant's own ID"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("authority: http://login.example/t", "https://"),
        ("authority: https://login.example/", "end with the partner tenant"),
        ("authority: https://login.example/common/", "end with the partner tenant"),
        ("api_url: http://api.example", "https://"),
        ("api_url: https://", "https://"),
        ("api_url: https://me@api.example", "no user"),
        ("api_url: 'https://api.example?x=1'", "query"),
        ("api_url: 'https://api.example#x'", "fragment"),
        ("api_url: https://api.example:port", "https://"),
        ("api_url: https://[::1", "https://"),
        ("api_url: https://xn--0.example", "https://"),
        ("authority: https://xn--.example/contoso.com", "https://"),
        ('api_url: "https://api.exa\\nmple"', "https://"),
        ("scope: user_impersonation", "https://"),
    ],
)
def test_an_address_must_be_https_and_nothing_but_an_address(mistakes: Mistakes, line: str, word: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}    {line}\n")
    assert mistake.startswith(f"6: partners[0].{line.partition(':')[0]}: ")
    assert word in mistake


def test_names_are_unique_whatever_their_case(mistakes: Mistakes) -> None:
    more = PARTNER.removeprefix("partners:\n").replace("contoso", "Contoso")
    assert mistakes(PARTNER + more) == [
        "6: partners[1].name: the name 'Contoso' is taken by partners[0] (case is ignored): choose another"
    ]


def test_targets_for_the_same_series_are_a_mistake_whatever_their_ratio_and_order(mistakes: Mistakes) -> None:
    text = PARTNER + (
        "targets:\n"
        "  - {ratio: 0.5}\n"
        "  - {ratio: 0.5, workload: Exchange, channel: reseller}\n"
        "  - {channel: reseller, workload: Exchange, partner: , ratio: 0.9}\n"
        "  - {ratio: 0.7}\n"
        "  - {ratio: 0.5, workload: exchange, channel: reseller}\n"
    )
    assert mistakes(text) == [
        "9: targets[2]: applies to the same series as targets[1]: keep one",
        "10: targets[3]: applies to the same series as targets[0]: keep one",
    ]


def test_targets_for_the_same_customer_are_a_mistake_and_customers_are_told_apart(mistakes: Mistakes) -> None:
    text = PARTNER + (
        "sources: {usage: {api: commercial, detail: [customer]}}\n"
        "targets:\n"
        "  - {ratio: 0.5, workload: Exchange, customer: c1}\n"
        "  - {ratio: 0.5, workload: Exchange, customer: c2}\n"
        "  - {ratio: 0.5, workload: Exchange}\n"
        "  - {ratio: 0.7, customer: c1, workload: Exchange}\n"
    )
    assert mistakes(text) == ["11: targets[3]: applies to the same series as targets[0]: keep one"]


NO_CUSTOMERS = "customer: only valid with `detail: [customer]` of the source usage: add that, or remove this"


@pytest.mark.parametrize(
    ("usage", "customer", "problems"),
    [
        ("{api: commercial, detail: [product]}", "c1", [f"7: targets[0].{NO_CUSTOMERS}"]),
        ("{}", "c1", [f"7: targets[0].{NO_CUSTOMERS}"]),
        (
            "{api: commercial, detail: [customers]}",
            "c1",
            ["6: sources.usage.detail[0]: expected 'customer' or 'product'"],
        ),
        ("{api: commercial, detail: [customer]}", "''", ["7: targets[0].customer: expected a non-empty string"]),
    ],
)
def test_a_target_of_a_customer_needs_usage_by_customer(
    mistakes: Mistakes, usage: str, customer: str, problems: list[str]
) -> None:
    text = f"{PARTNER}sources: {{usage: {usage}}}\ntargets: [{{ratio: 1, customer: {customer}}}]\n"
    assert mistakes(text) == problems


def test_a_target_of_a_partner_that_is_not_there_is_no_mistake_before_there_is_data(mistakes: Mistakes) -> None:
    text = PARTNER + "targets: [{ratio: 1, customer: c1, partner: nobody}, {ratio: 1, customer: c1}]\n"
    assert mistakes(text) == [f"6: targets[1].{NO_CUSTOMERS}"]


def test_a_target_of_one_partners_customer_needs_that_partners_usage_by_customer(mistakes: Mistakes) -> None:
    other = PARTNER.removeprefix("partners:\n").replace("contoso", "fabrikam")
    text = (
        f"{PARTNER}{other}    sources: {{usage: {{api: commercial, detail: [customer]}}}}\n"
        "targets:\n"
        "  - {ratio: 1, customer: c1}\n"
        "  - {ratio: 1, customer: c1, partner: fabrikam}\n"
        "  - {ratio: 1, customer: c1, partner: contoso}\n"
    )
    assert mistakes(text) == [f"14: targets[2].{NO_CUSTOMERS}"]


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("client_sekret_file: x", ": did you mean client_secret_file?"),
        ("Name: x", ": did you mean name?"),
        ("source: {}", ": did you mean sources?"),
        ("xyzzy: x", ": expected one of name, cloud, tenant_id, client_id, "),
        ("xyzzy:", ": expected one of name, cloud, tenant_id, client_id, "),
    ],
)
def test_for_an_unknown_key_the_most_similar_known_one_is_suggested(mistakes: Mistakes, key: str, wanted: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}    {key}\n")
    assert mistake.startswith(f"6: partners[0].{key.partition(':')[0]}: unknown key{wanted}")


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("polls: {}", "polls", "poll"),
        ("poll: {intervall: 1h}", "poll.intervall", "interval"),
        ("sources: {usages: {}}", "sources.usages", "usage"),
        ("sources: {usage: {enable: true}}", "sources.usage.enable", "enabled"),
        ("targets: [{ratio: 1, workloads: x}]", "targets[0].workloads", "workload"),
        ("http: {proxy: x}", "http.proxy", "proxy_url"),
    ],
)
def test_an_unknown_key_is_found_at_every_depth(mistakes: Mistakes, text: str, path: str, wanted: str) -> None:
    assert mistakes(f"{PARTNER}{text}\n") == [f"6: {path}: unknown key: did you mean {wanted}?"]


def test_a_repeated_key_is_a_mistake_at_its_second_place(mistakes: Mistakes) -> None:
    text = PARTNER + "    name: fabrikam\npoll:\n  interval: 1h\n  timeout: 5s\n  interval: 2h\npoll: {}\n"
    assert mistakes(text) == [
        "6: partners[0].name: duplicate key: keep one",
        "10: poll.interval: duplicate key: keep one",
        "11: poll: duplicate key: keep one",
    ]


@pytest.mark.parametrize(
    "written",
    [
        "0s",
        "1",
        "-1h",
        "1.5h",
        "1h 30m",
        "30m1h",
        "1h1h",
        "h",
        "367d",
        "1h99999999999999999999s",
        "9" * 5_000 + "s",
        "\N{ARABIC-INDIC DIGIT ONE}h",
        "[1h]",
    ],
    ids=lambda written: written[:20],
)
def test_an_invalid_duration_is_refused(mistakes: Mistakes, written: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}poll: {{timeout: {written}}}\n")
    assert mistake.removeprefix("6: poll.timeout: ") in (DURATION, "a duration must be positive and at most a year")


@pytest.mark.parametrize(
    ("text", "path"),
    [("poll: {interval: 59999ms}", "poll.interval"), ("sources: {usage: {interval: 59s}}", "sources.usage.interval")],
)
def test_the_minimum_interval_is_a_minute(mistakes: Mistakes, text: str, path: str) -> None:
    assert mistakes(f"{PARTNER}{text}\n") == [f"6: {path}: minimum interval is 1m: the data changes about once a day"]


@pytest.mark.parametrize(
    ("text", "line", "path"),
    [
        ("poll: {interval: 37h}", 6, "poll.interval"),
        ("poll: {max_staleness: 119m}", 6, "poll.interval"),
        ("sources: {usage: {interval: 37h}}", 6, "sources.usage.interval"),
        (
            "poll: {interval: 1m, max_staleness: 2m}\nsources: {deployment: {interval: 2m}}",
            7,
            "sources.deployment.interval",
        ),
    ],
)
def test_max_staleness_is_at_least_twice_every_interval(mistakes: Mistakes, text: str, line: int, path: str) -> None:
    assert mistakes(f"{PARTNER}{text}\n") == [
        f"{line}: {path}: poll.max_staleness must be at least twice the interval, or data would flicker"
    ]


def test_max_staleness_is_at_least_twice_a_partners_own_interval(mistakes: Mistakes) -> None:
    (mistake,) = mistakes(PARTNER + "    sources: {usage: {interval: 3d}}\n")
    assert mistake.startswith("6: partners[0].sources.usage.interval: poll.max_staleness")


@pytest.mark.parametrize("text", ["poll: {interval: 36h}", "poll: {max_staleness: 2h}"])
def test_max_staleness_of_exactly_twice_the_interval_is_enough(read: Read, text: str) -> None:
    assert read(f"{PARTNER}{text}\n").partners


def test_a_mistake_in_poll_causes_no_others_elsewhere(mistakes: Mistakes) -> None:
    text = PARTNER + "poll: {max_staleness: 300h, timeout: bogus}\nsources: {usage: {interval: 50h}}\n"
    assert mistakes(text) == [f"6: poll.timeout: {DURATION}"]


def test_a_partner_with_no_source_enabled_is_a_mistake(mistakes: Mistakes) -> None:
    wanted = [f"2: partners[0]: no source is enabled: enable {' or '.join(SourceName)}"]
    assert mistakes(f"{PARTNER}sources: {ALL_OFF}\n") == wanted
    on_below = f"{PARTNER}    sources: {ALL_OFF}\nsources: {{usage: {{enabled: yes}}}}\n"
    assert mistakes(on_below) == wanted


@pytest.mark.parametrize(
    "line", ["sources: {usage: {interval: 30s}}", "tenant_id: x", "authority: nowhere", "cloud: moon"]
)
def test_a_mistake_in_a_partner_hides_none_of_its_files(mistakes: Mistakes, line: str) -> None:
    text = PARTNER.replace("client_secret: hunter2", f"client_secret_file: nowhere\n    {line}")
    found = mistakes(text)
    assert len(found) == 2
    assert any("client_secret_file: can't read" in mistake for mistake in found)


def test_exactly_one_client_credential_is_required(mistakes: Mistakes, certificate: trustme.LeafCert) -> None:
    del certificate
    none = mistakes(PARTNER.replace("    client_secret: hunter2\n", ""))
    assert none == [
        (
            "2: partners[0]: no client credential: add one of "
            "client_secret, client_secret_file, client_certificate_file, federated_token_file"
        )
    ]
    assert mistakes(PARTNER + "    client_certificate_file: client.pem\n") == [
        (
            "6: partners[0].client_certificate_file: more than one client credential "
            "(client_secret, client_certificate_file): keep one"
        )
    ]


@pytest.mark.parametrize("written", ["", " ~", " null"])
def test_a_client_secret_without_a_value_is_none(mistakes: Mistakes, written: str) -> None:
    (mistake,) = mistakes(PARTNER.replace(" hunter2", written))
    assert "no client credential" in mistake


@pytest.mark.parametrize("written", ["''", '""', '"\\ud800"'])
def test_a_client_secret_that_is_not_text_is_refused(mistakes: Mistakes, written: str) -> None:
    (mistake,) = mistakes(PARTNER.replace("hunter2", written))
    assert mistake.startswith("5: partners[0].client_secret: expected ")


@pytest.mark.parametrize("key", ["client_certificate_key_file", "client_certificate_password_file"])
def test_what_belongs_to_a_certificate_is_a_mistake_without_one(mistakes: Mistakes, key: str) -> None:
    assert mistakes(f"{PARTNER}    {key}: x\n") == [
        f"6: partners[0].{key}: only valid with client_certificate_file: add that, or remove this"
    ]


def test_an_expiry_of_a_secret_is_a_mistake_beside_a_certificate(
    mistakes: Mistakes, certificate: trustme.LeafCert
) -> None:
    del certificate
    text = PARTNER.replace("client_secret: hunter2", "client_certificate_file: client.pem")
    assert mistakes(text + "    client_secret_expires: 2027-05-01\n") == [
        (
            "6: partners[0].client_secret_expires: only valid with client_secret or client_secret_file: "
            "add that, or remove this"
        )
    ]


@pytest.mark.parametrize("written", ["tomorrow", "01.05.2027", "2027-13-01", "1", "[2027]", "''"])
def test_an_invalid_date_is_refused(mistakes: Mistakes, written: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}    client_secret_expires: {written}\n")
    assert mistake == "6: partners[0].client_secret_expires: use a date such as 2027-05-01"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file or directory"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff", "it is not text")],
)
@pytest.mark.parametrize("key", ["client_secret_file", "federated_token_file"])
def test_an_empty_secret_file_is_a_mistake(
    mistakes: Mistakes, tmp_path: Path, key: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    (mistake,) = mistakes(PARTNER.replace("client_secret: hunter2", f"{key}: secret"))
    assert mistake.startswith(f"5: partners[0].{key}: ")
    assert words in mistake
    assert str(tmp_path / "secret") in mistake


@pytest.mark.parametrize(
    "keys",
    [
        "client_certificate_file: nowhere.pem",
        "client_certificate_file: client.crt",
        "client_certificate_file: client.key",
        "client_certificate_file: config.yaml",
        "client_certificate_file: client.crt\n    client_certificate_key_file: nowhere.key",
        "client_certificate_file: client.crt\n    client_certificate_key_file: other.key",
        "client_certificate_file: client.pem\n    client_certificate_password_file: nowhere",
    ],
)
def test_a_certificate_that_cannot_be_used_is_a_mistake(
    mistakes: Mistakes, certificate: trustme.LeafCert, tmp_path: Path, keys: str
) -> None:
    del certificate
    other = trustme.CA().issue_cert("other.example", key_type=trustme.KeyType.RSA)
    other.private_key_pem.write_to_path(str(tmp_path / "other.key"))
    (mistake,) = mistakes(PARTNER.replace("client_secret: hunter2", keys))
    assert mistake.startswith("5: partners[0].client_certificate_file: can't ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "it must contain PEM certificates"),
        (b"no certificate", "it must contain PEM certificates"),
        (b"-----BEGIN CERTIFICATE-----\nx\n", "it must contain PEM certificates"),
    ],
)
def test_authorities_that_cannot_be_read_are_a_mistake(
    mistakes: Mistakes, tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    (mistake,) = mistakes(PARTNER + "http: {ca_file: ca.pem}\n")
    assert mistake.startswith(f"6: http.ca_file: can't use {tmp_path / 'ca.pem'}")
    assert words in mistake


@pytest.mark.parametrize("damage", UNUSABLE)
@pytest.mark.parametrize(
    "key", ["client_secret_file", "federated_token_file", "client_certificate_file", "refresh_token_file"]
)
def test_a_file_that_can_not_be_read_to_its_end_is_a_mistake(
    mistakes: Mistakes, tmp_path: Path, key: str, damage: str
) -> None:
    file = UNUSABLE[damage](tmp_path)
    text = PARTNER if key == "refresh_token_file" else PARTNER.replace("    client_secret: hunter2\n", "")
    (mistake,) = mistakes(f"{text}    {key}: {file}\n")
    assert f"partners[0].{key}: can't " in mistake
    assert "check the file and its permissions" in mistake or "use PEM" in mistake


@pytest.mark.parametrize("damage", UNUSABLE)
def test_authorities_that_can_not_be_read_to_their_end_are_a_mistake(
    mistakes: Mistakes, tmp_path: Path, damage: str
) -> None:
    (mistake,) = mistakes(f"{PARTNER}http: {{ca_file: {UNUSABLE[damage](tmp_path)}}}\n")
    assert "http.ca_file: can't use " in mistake


def test_a_seed_that_is_missing_or_empty_is_no_mistake(with_key: Read, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for file in ("missing", "no/folder", "dangling", "empty"):
        assert with_key(f"refresh_token_file: {file}").partners[0].refresh_token_file == tmp_path / file


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "http://",
        "ftp://proxy",
        "http://proxy:0",
        "http://proxy:65536",
        "http://proxy:port",
        "http://[::1",
        "http://[v1.a]:3128",
        "http://a..b:3128",
        "http://" + "a" * 64 + ":3128",
        "http://pro xy:3128",
        "http://pro%41xy:3128",
        "http://proxy\\n:3128",
        "http://\\ufffd:3128",
        "http://user:\\ud800@proxy:3128",
        "http://user:\\0@proxy:3128",
        "http://proxy/" + "x" * 70_000,
    ],
    ids=lambda url: url[:30],
)
def test_a_proxy_that_can_not_be_used_is_a_mistake(mistakes: Mistakes, url: str) -> None:
    (mistake,) = mistakes(f'{PARTNER}http: {{proxy_url: "{url}"}}\n')
    assert mistake == f"6: http.proxy_url: {PROXY_FORM}"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS"])
def test_a_socks_proxy_is_a_mistake_that_is_named(mistakes: Mistakes, scheme: str) -> None:
    (mistake,) = mistakes(f"{PARTNER}http: {{proxy_url: '{scheme}://proxy:1080'}}\n")
    assert mistake == f"6: http.proxy_url: {PROXY_FORM}; SOCKS proxies are not supported"


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy",
        "https://proxy:65535/",
        "HTTP://under_score.example.:1",
        "http://[::1]:3128",
        "http://pröxy:3128",
        "http://user:p%40ss@127.0.0.1:3128",
        "http://user:p@s%s wörd@proxy:3128",
    ],
)
def test_a_proxy_that_can_be_used_is_no_mistake(read: Read, url: str) -> None:
    secret = read(f'{PARTNER}http: {{proxy_url: "{url}"}}\n').shared.proxy_url
    assert secret is not None
    with httpx.Client(proxy=secret.reveal()):
        assert secret.reveal() == url


def test_a_timeout_that_sockets_refuse_is_a_mistake(mistakes: Mistakes) -> None:
    assert mistakes(f"{PARTNER}poll: {{timeout: 25h}}\n") == ["6: poll.timeout: maximum timeout is 1d"]


STRANGE = {
    "hunter2\N{NO-BREAK SPACE}": "character 8 is U+00A0 (NO-BREAK SPACE)",
    "\N{ZERO WIDTH SPACE}hunter2": "character 1 is U+200B (ZERO WIDTH SPACE)",
    "hun\nter2": "character 4 is U+000A (a line feed)",
    "hunter2\t": "character 8 is U+0009 (a tab)",
    "hunt\N{LATIN SMALL LETTER E WITH ACUTE}r2": "character 5 is U+00E9 (LATIN SMALL LETTER E WITH ACUTE)",
    "hunter2\ufeff\u2060": "character 8 is U+FEFF (ZERO WIDTH NO-BREAK SPACE)",
}


@pytest.mark.parametrize(("secret", "words"), STRANGE.items(), ids=[words[:40] for words in STRANGE.values()])
@pytest.mark.parametrize("key", ["client_secret", "client_secret_file", "federated_token_file", "refresh_token_file"])
def test_a_character_that_no_secret_contains_is_named_with_its_place_and_the_secret_is_not(
    mistakes: Mistakes, tmp_path: Path, key: str, secret: str, words: str
) -> None:
    (tmp_path / "secret").write_bytes(secret.encode())
    text = PARTNER if key == "refresh_token_file" else PARTNER.replace("    client_secret: hunter2\n", "")
    (mistake,) = mistakes(
        f"{text}    {key}: {'${SECRET}' if key == 'client_secret' else 'secret'}\n", {"SECRET": secret}
    )
    assert f"partners[0].{key}: " in mistake
    assert words in mistake
    assert "hunt" not in mistake
    assert ("can't use the secret in" in mistake) == (key != "client_secret")
