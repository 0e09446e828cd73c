"""Certificates, keys and web configuration files, as an operator keeps them."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import yaml
from cryptography import x509

TLS_KEY = "tls_server_config"


@dataclass
class Material:
    """A folder with web.yml and what it names.

    `authority` signs for the server, `clients` for those who ask.
    """

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)
    clients: trustme.CA = field(default_factory=trustme.CA)

    @property
    def file(self) -> Path:
        """The web configuration."""
        return self.folder / "web.yml"

    def write(self, *, tls: dict[str, Any] | None = None, **sections: Any) -> Path:
        """Write the web configuration; keys in `tls` are beside those of certificate and key."""
        if tls is not None:
            sections[TLS_KEY] = {"cert_file": "server.pem", "key_file": "server.key", **tls}
        self.file.write_text(yaml.safe_dump(sections))
        return self.file

    def issue(self, *, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> trustme.LeafCert:
        """Write a new certificate and key for the server; return them."""
        leaf = self.authority.issue_cert("localhost", "127.0.0.1", key_type=key_type)
        self.write_certificate(leaf)
        self.write_key(leaf)
        return leaf

    def write_certificate(self, leaf: trustme.LeafCert) -> None:
        """Replace the server's certificate alone."""
        (self.folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))

    def write_key(self, leaf: trustme.LeafCert) -> None:
        """Replace the server's key alone."""
        (self.folder / "server.key").write_bytes(leaf.private_key_pem.bytes())

    def write_client_ca(self, authority: trustme.CA | None = None) -> None:
        """Replace the authority whose clients are let in."""
        (self.folder / "clients.pem").write_bytes((authority or self.clients).cert_pem.bytes())

    def client(
        self,
        *,
        certificate: trustme.LeafCert | None = None,
        lowest: ssl.TLSVersion | None = None,
        highest: ssl.TLSVersion | None = None,
        ciphers: str | None = None,
    ) -> ssl.SSLContext:
        """Return a client's context that knows the server's authority."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if lowest is not None:
            context.minimum_version = lowest
        if highest is not None:
            context.maximum_version = highest
        return context


def serial_of(leaf: trustme.LeafCert) -> int:
    """Return a certificate's serial number."""
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
