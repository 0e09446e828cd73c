"""How credentials are read from their files, and what is said of files that are of no use."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.auth.certificate import read
from exporter.auth.credential import ClientCertificate, ClientSecret, FederatedToken, secret_text
from exporter.errors import AuthenticationError
from exporter.redaction import Secret
from tests.support.certificates import ClientIdentity


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("s3cret\n\n", "s3cret"),
        ("\r\n\ns3cret\r\r\n", "s3cret"),
        ("\ufeffs3cret\n", "s3cret"),
        (" s3cret \n", " s3cret "),
        ("", ""),
    ],
)
def test_a_secret_file_is_read_without_line_ends_around_it(tmp_path: Path, content: str, secret: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content.encode())
    assert ClientSecret(file=file).for_msal() == secret


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes("s3cret\r\n".encode(encoding))
    assert ClientSecret(file=file).for_msal() == "s3cret"
    assert FederatedToken(file).for_msal()["client_assertion"]() == "s3cret"


@given(
    secret=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    before=st.text("\ufeff\r\n"),
    after=st.text("\ufeff\r\n"),
)
def test_line_ends_around_a_secret_never_matter(secret: str, before: str, after: str) -> None:
    assert secret_text(before + secret + after) == secret


@given(text=st.text(min_size=1))
def test_a_secret_has_printable_ascii_only_or_is_refused_without_being_shown(text: str) -> None:
    whole = f"xylophone{text}".rstrip("\ufeff\r\n")
    if whole.isascii() and whole.isprintable():
        assert secret_text(f"xylophone{text}") == whole
    else:
        with pytest.raises(ValueError, match=r"character \d+ is U\+") as caught:
            secret_text(f"xylophone{text}")
        assert "xylophone" not in str(caught.value)


def test_a_password_may_be_any_text(tmp_path: Path, client_identity: ClientIdentity) -> None:
    words = "p\N{LATIN SMALL LETTER A WITH DIAERESIS}ss\N{NO-BREAK SPACE} \N{ZERO WIDTH SPACE}"
    (tmp_path / "certificate").write_bytes(client_identity.certificate_pem + client_identity.key_pem(words))
    (tmp_path / "password").write_bytes(f"\ufeff{words}\r\n\n".encode())
    credential = ClientCertificate(certificate_file=tmp_path / "certificate", password_file=tmp_path / "password")
    assert credential.expiry() == client_identity.expires_at


def test_a_secret_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    credential = ClientSecret(file=file)
    file.write_text("first\n")
    assert credential.for_msal() == "first"
    file.write_text("second\n")
    assert credential.for_msal() == "second"
    assert credential.files() == (file,)


def test_an_inline_secret_has_no_file() -> None:
    credential = ClientSecret(value=Secret("s3cret"), expires_at=5.0)
    assert credential.for_msal() == "s3cret"
    assert credential.files() == ()
    assert credential.expiry() == 5.0


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match="missing: No such file or directory") as caught:
        ClientSecret(file=tmp_path / "missing").for_msal()
    assert "permissions" in caught.value.remedy


def test_a_secret_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AuthenticationError, match="secret: it is not text"):
        ClientSecret(file=file).for_msal()


def test_a_federated_token_is_read_at_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    assertion = FederatedToken(file).for_msal()["client_assertion"]
    assert assertion() == "first"
    file.write_text(" second \n")
    assert assertion() == "second"


def test_a_federated_token_is_the_same_credential_at_each_use(tmp_path: Path) -> None:
    token = FederatedToken(tmp_path / "federated-token")
    assert token.for_msal() == token.for_msal()


def test_a_change_of_any_of_a_certificates_files_is_a_new_credential(tmp_path: Path) -> None:
    credential = ClientCertificate(
        certificate_file=tmp_path / "certificate", key_file=tmp_path / "key", password_file=tmp_path / "password"
    )
    assert credential.files() == (tmp_path / "certificate", tmp_path / "key", tmp_path / "password")


@pytest.fixture(params=["key last", "key first", "key apart", "encrypted key", "pfx", "pfx with password"])
def usable(request: pytest.FixtureRequest, tmp_path: Path, client_identity: ClientIdentity) -> ClientCertificate:
    """The same certificate in each form that operators keep."""
    certificate, key, password = (tmp_path / name for name in ("certificate", "key", "password"))
    secret = "with password" in request.param or "encrypted" in request.param
    if secret:
        password.write_text("p4ss word\n")
    words = "p4ss word" if secret else ""
    parts = (client_identity.certificate_pem, client_identity.key_pem(words))
    if "pfx" in request.param:
        certificate.write_bytes(client_identity.pfx(words))
    elif request.param == "key last":
        certificate.write_bytes(b"".join(parts))
    elif request.param == "key first":
        certificate.write_bytes(b"".join(reversed(parts)))
    else:
        certificate.write_bytes(parts[0])
        key.write_bytes(parts[1])
    return ClientCertificate(
        certificate_file=certificate, key_file=key if key.exists() else None, password_file=password if secret else None
    )


def test_a_certificate_is_read_in_every_form(usable: ClientCertificate, client_identity: ClientIdentity) -> None:
    assert usable.expiry() == client_identity.expires_at
    for_msal = usable.for_msal()
    assert for_msal["public_certificate"].encode() == client_identity.certificate_pem
    assert for_msal["private_key"].encode() == client_identity.key_pem()


def refusal_of(certificate: Path, key: Path | None = None, password: str = "") -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        read(certificate, key, Secret(password) if password else None)
    assert str(certificate) in caught.value.message
    return caught.value


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_an_unusable_certificate_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "certificate"
    file.write_bytes(content)
    assert "PEM with its private key" in refusal_of(file).remedy


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal_of(tmp_path / "missing").message


def test_a_certificate_without_its_key_is_refused(tmp_path: Path, client_identity: ClientIdentity) -> None:
    file = tmp_path / "certificate"
    file.write_bytes(client_identity.certificate_pem)
    assert "client_certificate_key_file" in refusal_of(file).remedy


def test_a_key_of_another_certificate_is_refused(
    tmp_path: Path, client_identity: ClientIdentity, stranger: ClientIdentity
) -> None:
    file = tmp_path / "certificate"
    file.write_bytes(client_identity.certificate_pem + stranger.key_pem())
    assert "does not belong to the certificate" in refusal_of(file).message


@pytest.mark.parametrize("password", ["", "xylophone"])
@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_a_wrong_or_missing_password_is_refused_and_never_shown(
    tmp_path: Path, client_identity: ClientIdentity, form: str, password: str
) -> None:
    file = tmp_path / "certificate"
    content = {
        "pem": client_identity.certificate_pem + client_identity.key_pem("s3cret"),
        "pfx": client_identity.pfx("s3cret"),
    }
    file.write_bytes(content[form])
    error = refusal_of(file, password=password)
    assert "client_certificate_password_file" in error.remedy
    assert "xylophone" not in f"{error.message} {error.remedy}"


def test_a_key_type_that_entra_does_not_support_is_refused_at_once(tmp_path: Path) -> None:
    """Entra ID knows RSA keys only; MSAL finds out when it signs, with an error of its own."""
    elliptic = ClientIdentity.new(key=ec.generate_private_key(ec.SECP256R1()))
    file = tmp_path / "certificate"
    file.write_bytes(elliptic.certificate_pem + elliptic.key_pem())
    assert "RSA" in refusal_of(file).message


DH_PARAMETERS = b"""-----BEGIN DH PARAMETERS-----
MEYCQQDaWDwW2YUiidDkr3VvTMqS3UvlM7gE+w/tlO+cikQD7VdGUNNpmdsp13Yn
a6LT1BLiGPTdHghM9tgAPnxHdOgzAgEC
-----END DH PARAMETERS-----
"""
BAG = b"Bag Attributes\n    localKeyID: 01 00 00 00\nsubject=CN = exporter\n"
AGES = {"new": -1, "old": -300, "expired": -800, "future": 30}


@pytest.fixture(scope="module")
def generations(client_identity: ClientIdentity) -> dict[str, ClientIdentity]:
    """Certificates of one key, by when they begin; each is valid for a year or so."""
    return {
        age: ClientIdentity.new(key=client_identity.key, begin_in_days=begin, days=400) for age, begin in AGES.items()
    }


@pytest.mark.parametrize("cut", [30, 200, 600])
def test_a_block_without_an_end_does_not_take_the_next_one_with_it(
    tmp_path: Path, client_identity: ClientIdentity, stranger: ClientIdentity, cut: int
) -> None:
    file = tmp_path / "certificate"
    file.write_bytes(
        stranger.certificate_pem[:cut] + b"\n" + client_identity.certificate_pem + client_identity.key_pem()
    )
    credential = ClientCertificate(certificate_file=file).for_msal()
    assert credential["public_certificate"] == client_identity.certificate_pem.decode()


@pytest.mark.parametrize(
    ("ages", "used"),
    [
        (("new", "old"), "new"),
        (("old", "new"), "new"),
        (("future", "old", "expired"), "old"),
        (("expired", "future", "new", "old"), "new"),
        (("expired", "future"), "expired"),
        (("future",), "future"),
        (("expired",), "expired"),
    ],
)
@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_of_several_certificates_of_a_key_the_newest_that_has_begun_is_used(
    tmp_path: Path,
    generations: dict[str, ClientIdentity],
    stranger: ClientIdentity,
    form: str,
    ages: tuple[str, ...],
    used: str,
) -> None:
    chosen = [generations[age] for age in ages]
    file = tmp_path / "certificate"
    pem = stranger.certificate_pem + b"".join(one.certificate_pem for one in chosen) + chosen[0].key_pem()
    file.write_bytes(pem if form == "pem" else chosen[0].pfx(others=[stranger, *chosen[1:]]))
    credential, end = read(file, None, None)
    assert credential["public_certificate"].encode() == generations[used].certificate_pem
    assert end == generations[used].expires_at


@settings(max_examples=25)  # checking a key takes a while
@given(data=st.data())
def test_the_order_of_the_blocks_in_a_pem_file_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    client_identity: ClientIdentity,
    stranger: ClientIdentity,
    data: st.DataObject,
) -> None:
    elliptic = ClientIdentity.new(key=ec.generate_private_key(ec.SECP256R1()))
    parts = [client_identity.certificate_pem, client_identity.key_pem()]
    parts += data.draw(
        st.lists(
            st.sampled_from(
                [DH_PARAMETERS, BAG, stranger.certificate_pem, elliptic.key_pem(), b"\xef\xbb\xbf", b"# 2027\r\n"]
            )
        )
    )
    blocks = data.draw(st.permutations(parts))
    file = tmp_path_factory.mktemp("pem") / "certificate"
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    file.write_bytes(b"".join(blocks).replace(b"\r\n", b"\n").replace(b"\n", end))
    credential, _ = read(file, None, None)
    assert credential["public_certificate"].encode() == client_identity.certificate_pem


def test_a_password_that_the_key_does_not_need_is_not_used(tmp_path: Path, client_identity: ClientIdentity) -> None:
    file = tmp_path / "certificate"
    file.write_bytes(client_identity.certificate_pem + client_identity.key_pem())
    credential, _ = read(file, None, Secret("p4ss"))
    assert credential["private_key"].encode() == client_identity.key_pem()


def test_of_several_keys_in_their_own_file_the_one_of_the_newest_certificate_is_used(
    tmp_path: Path, client_identity: ClientIdentity, stranger: ClientIdentity
) -> None:
    newer = ClientIdentity.new(key=stranger.key, begin_in_days=0)
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    certificate.write_bytes(client_identity.certificate_pem + newer.certificate_pem)
    key.write_bytes(client_identity.key_pem() + stranger.key_pem())
    credential, _ = read(certificate, key, None)
    assert credential["public_certificate"].encode() == newer.certificate_pem
    assert credential["private_key"].encode() == stranger.key_pem()
