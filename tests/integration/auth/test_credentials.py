"""Every client credential against the simulator, through the real MSAL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.auth.certificate import assertion
from exporter.auth.credential import ClientCertificate, ClientSecret, Credential, FederatedToken
from exporter.auth.entra import EntraApplication
from exporter.errors import AuthenticationError, RefreshTokenRefused
from exporter.redaction import Secret
from partnercenter_simulator import Simulator
from tests.support.certificates import ClientIdentity
from tests.support.clock import FakeClock
from tests.support.sign_in import SignInKit


def signs_in(kit: SignInKit, entra: EntraApplication) -> bool:
    """Redeem a new refresh token; return whether the API takes the access token."""
    grant = entra.redeem(Secret(kit.simulator.entra.issue_refresh_token()))
    answer = kit.transport.send(
        "GET",
        f"{kit.simulator.base_url}/v1/analytics/licenses/usage",
        headers={"Authorization": f"Bearer {grant.access_token.reveal()}"},
        max_bytes=1_000_000,
        redactor=kit.transport.redactor(),
    )
    return answer.status == 200


def refused(kit: SignInKit, credential: Credential) -> AuthenticationError:
    """Return why a sign-in with this credential is refused: not on account of the refresh token."""
    with pytest.raises(AuthenticationError) as caught:
        kit.entra(credential).redeem(Secret(kit.simulator.entra.issue_refresh_token()))
    assert not isinstance(caught.value, RefreshTokenRefused)
    assert caught.value.reason == "auth"
    return caught.value


def secret_file(folder: Path, content: str) -> ClientSecret:
    file = folder / "client-secret"
    file.write_text(content)
    return ClientSecret(file=file)


def test_a_secret_in_the_configuration_signs_in(kit: SignInKit) -> None:
    assert signs_in(kit, kit.entra(ClientSecret(value=Secret(kit.simulator.client_secret))))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_in_a_file_signs_in_with_or_without_a_last_line_break(
    kit: SignInKit, tmp_path: Path, end: str
) -> None:
    assert signs_in(kit, kit.entra(secret_file(tmp_path, kit.simulator.client_secret + end)))


@pytest.mark.parametrize("secret", ["päss wörd&=+%", "a+b/c==", "{}[]\"'<>|\\^`"])
def test_a_secret_of_any_characters_signs_in(kit: SignInKit, secret: str) -> None:
    kit.simulator.entra.accept_secret(secret)
    assert signs_in(kit, kit.entra(ClientSecret(value=Secret(secret))))


def test_a_wrong_secret_is_refused_with_how_to_create_a_new_one(kit: SignInKit, tmp_path: Path) -> None:
    error = refused(kit, secret_file(tmp_path, "wrong"))
    assert error.message.startswith("AADSTS7000215: ")
    assert error.error == "invalid_client"
    assert "create a new one" in error.remedy
    assert "the refresh token remains valid" in error.remedy


def test_an_expired_secret_is_refused_with_how_to_create_a_new_one(kit: SignInKit, tmp_path: Path) -> None:
    kit.simulator.entra.accept_secret("expired", expires_at=1.0)
    error = refused(kit, secret_file(tmp_path, "expired"))
    assert error.message.startswith("AADSTS7000222: ")
    assert "create a new one" in error.remedy


def test_an_empty_secret_is_refused_like_a_public_client(kit: SignInKit, tmp_path: Path) -> None:
    error = refused(kit, secret_file(tmp_path, "\n"))
    assert error.message.startswith(("AADSTS7000218: ", "AADSTS7000215: "))


def test_a_new_secret_in_the_file_is_taken_up_without_a_restart(kit: SignInKit, tmp_path: Path) -> None:
    entra = kit.entra(secret_file(tmp_path, kit.simulator.client_secret))
    assert signs_in(kit, entra)
    kit.simulator.entra.refuse_secret(kit.simulator.client_secret)
    kit.simulator.entra.accept_secret("of the next year")
    with pytest.raises(AuthenticationError):
        signs_in(kit, entra)
    secret_file(tmp_path, "of the next year\n")
    assert signs_in(kit, entra)


def test_a_secret_file_that_disappears_is_named_and_its_return_is_noticed(kit: SignInKit, tmp_path: Path) -> None:
    entra = kit.entra(secret_file(tmp_path, kit.simulator.client_secret))
    assert signs_in(kit, entra)
    (tmp_path / "client-secret").unlink()
    with pytest.raises(AuthenticationError, match="client-secret: No such file"):
        signs_in(kit, entra)
    secret_file(tmp_path, kit.simulator.client_secret)
    assert signs_in(kit, entra)


FORMS = ("key in the same file", "key apart", "encrypted key", "pfx", "pfx with password")


def certificate_files(folder: Path, identity: ClientIdentity, form: str) -> ClientCertificate:
    certificate, key, password = (folder / name for name in ("certificate", "key", "password"))
    words = "correct horse" if form in ("encrypted key", "pfx with password") else ""
    password.write_text(f"{words}\n")
    key.write_bytes(identity.key_pem(words))
    if "pfx" in form:
        certificate.write_bytes(identity.pfx(words))
    elif "same" in form:
        certificate.write_bytes(identity.certificate_pem + identity.key_pem())
    else:
        certificate.write_bytes(identity.certificate_pem)
    apart = form in ("key apart", "encrypted key")
    return ClientCertificate(
        certificate_file=certificate, key_file=key if apart else None, password_file=password if words else None
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_signs_in_in_every_form(
    kit: SignInKit, tmp_path: Path, client_identity: ClientIdentity, form: str
) -> None:
    kit.simulator.entra.register_certificate(client_identity.certificate_pem)
    entra = kit.entra(certificate_files(tmp_path, client_identity, form))
    assert signs_in(kit, entra)
    assert signs_in(kit, entra)


def test_an_unregistered_certificate_is_refused_with_its_remedy(
    kit: SignInKit, tmp_path: Path, stranger: ClientIdentity
) -> None:
    error = refused(kit, certificate_files(tmp_path, stranger, "pfx"))
    assert error.message.startswith("AADSTS700027: ")
    assert "create a new one" in error.remedy


@pytest.mark.parametrize("form", FORMS)
def test_a_new_certificate_in_the_files_is_taken_up_without_a_restart(
    kit: SignInKit, tmp_path: Path, client_identity: ClientIdentity, stranger: ClientIdentity, form: str
) -> None:
    kit.simulator.entra.register_certificate(client_identity.certificate_pem)
    entra = kit.entra(certificate_files(tmp_path, stranger, form))
    with pytest.raises(AuthenticationError):
        signs_in(kit, entra)
    certificate_files(tmp_path, client_identity, form)
    assert signs_in(kit, entra)


def test_a_certificate_file_that_becomes_invalid_is_named_and_never_sent(
    kit: SignInKit, tmp_path: Path, client_identity: ClientIdentity
) -> None:
    kit.simulator.entra.register_certificate(client_identity.certificate_pem)
    entra = kit.entra(certificate_files(tmp_path, client_identity, "key apart"))
    assert signs_in(kit, entra)
    asked = kit.simulator.requests.count()
    (tmp_path / "key").write_text("garbage")
    with pytest.raises(AuthenticationError, match="can't use the certificate"):
        signs_in(kit, entra)
    assert kit.simulator.requests.count() == asked


def test_a_federated_token_signs_in_and_its_successor_too(kit: SignInKit, tmp_path: Path) -> None:
    file = tmp_path / "federated-token"
    file.write_text("header.first.signature\n")
    kit.simulator.entra.register_federated_token("header.first.signature")
    kit.simulator.entra.register_federated_token("header.second.signature")
    entra = kit.entra(FederatedToken(file))
    assert signs_in(kit, entra)
    file.write_text("header.second.signature")
    assert signs_in(kit, entra)
    file.write_text("header.third.signature")
    with pytest.raises(AuthenticationError) as caught:
        signs_in(kit, entra)
    assert caught.value.message.startswith("AADSTS700213: ")
    assert caught.value.remedy


def test_a_missing_federated_token_is_named(kit: SignInKit, tmp_path: Path) -> None:
    error = refused(kit, FederatedToken(tmp_path / "federated-token"))
    assert "federated-token: No such file" in error.message
    assert kit.simulator.requests.count("token") == 0


def test_a_sign_in_asks_for_discovery_once_and_then_for_tokens_only(kit: SignInKit) -> None:
    sent: list[str] = []
    kit.transport.watchers.append(lambda method, url: sent.append(f"{method} {url}"))
    entra = kit.entra()
    for _ in range(3):
        entra.redeem(Secret(kit.simulator.entra.issue_refresh_token()))
    authority = kit.simulator.authority
    assert sent == [
        f"GET {authority}/v2.0/.well-known/openid-configuration",
        *[f"POST {authority}/oauth2/v2.0/token"] * 3,
    ]


def test_the_user_s_account_tenant_and_factors_are_returned(kit: SignInKit, simulator: Simulator) -> None:
    grant = kit.entra().redeem(Secret(simulator.entra.issue_refresh_token(mfa=False)))
    assert (grant.account, grant.tenant_id, grant.methods) == (simulator.user, simulator.tenant_id, ("pwd",))
    assert grant.lifetime_seconds == simulator.entra.token_lifetime_seconds


@pytest.fixture
def skewed(tmp_path: Path, clock: FakeClock) -> Iterator[SignInKit]:
    """On a clock that can be wrong, while the simulator's is right."""
    with Simulator(now=clock.true_time) as simulator:
        kit = SignInKit(simulator, tmp_path, clock=clock)
        yield kit
        kit.close()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(86_400.0, "24 h ahead"), (3_600.0, "60 min ahead"), (-3_600.0, "60 min behind"), (1e8, "1157 days ahead")],
)
@pytest.mark.parametrize("wrong", ["at start", "later"])
def test_a_certificate_signs_in_as_soon_as_a_wrong_clock_is_right_again(
    skewed: SignInKit, clock: FakeClock, client_identity: ClientIdentity, seconds: float, words: str, wrong: str
) -> None:
    skewed.simulator.entra.register_certificate(client_identity.certificate_pem)
    entra = skewed.entra(certificate_files(skewed.folder, client_identity, "key apart"))
    if wrong == "later":
        assert signs_in(skewed, entra)
    clock.jump(seconds)
    with pytest.raises(AuthenticationError, match="AADSTS700024") as caught:
        signs_in(skewed, entra)
    assert "look at this machine's clock" in caught.value.remedy
    assert words in caught.value.remedy
    assert skewed.transport.server_clock.offset_seconds == pytest.approx(seconds, abs=2.0)
    clock.jump(-seconds)
    assert signs_in(skewed, entra)
    assert skewed.transport.server_clock.offset_seconds == pytest.approx(0.0, abs=2.0)


def test_no_two_assertions_are_alike(tmp_path: Path, client_identity: ClientIdentity) -> None:
    sent: set[str] = set()
    credential = certificate_files(tmp_path, client_identity, "pfx").for_msal()
    for _ in range(3):
        sent.add(assertion(credential, client_id="id", audience="https://login.example", now=1.0))
    assert len(sent) == 3
