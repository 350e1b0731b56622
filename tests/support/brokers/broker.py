"""A real mosquitto on a free loopback port, plain or with TLS and client certificates.

Use the fixtures by importing them where they are wanted::

    from tests.support.brokers.broker import broker, tls_broker  # noqa: F401
"""

import contextlib
import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_LIFE = timedelta(days=90)  # Of a certificate.
_START_ATTEMPTS = 5  # Another process may take the free port first.


def mosquitto_path() -> str:
    """Return the broker's executable.

    Raises:
        RuntimeError: It is not installed; the message says how to install it.
    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError("mosquitto is not installed; `make debian` installs it, and the tests need it")
    return found


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate and its key, as PEM files."""

    cert_path: Path
    key_path: Path


@dataclass
class Authority:
    """A private certificate authority that lives as long as the test."""

    folder: Path
    _key: ec.EllipticCurvePrivateKey = field(init=False)
    _cert: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = _name("sitewatt test authority")
        self._cert = (
            _builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_path.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    @property
    def ca_path(self) -> Path:
        """Return the file with the authority's own certificate."""
        return self.folder / "ca.pem"

    def issue(self, common_name: str, *, server: bool = False, valid_for: timedelta = _LIFE) -> Identity:
        """Make a key and a certificate for a name; the broker takes the name as the user name."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common_name), self._cert.subject, key.public_key(), valid_for=valid_for)
        identity = Identity(
            cert_path=self.folder / f"{common_name}.cert.pem", key_path=self.folder / f"{common_name}.key.pem"
        )
        identity.cert_path.write_bytes(self._sign(builder, server=server))
        identity.key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        return identity

    def sign_csr(self, csr_pem: str) -> str:
        """Return the certificate (PEM) for a certificate signing request."""
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return self._sign(_builder(request.subject, self._cert.subject, key), server=False).decode()

    def _sign(self, builder: x509.CertificateBuilder, *, server: bool) -> bytes:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(authority, critical=False)
        if server:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, valid_for: timedelta = _LIFE
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + valid_for)
    )


@dataclass
class Broker:
    """One mosquitto; ``start`` and ``stop`` may be called again and again and keep the port.

    With an ``authority`` it speaks TLS, demands a client certificate and takes its common name as the user name.
    """

    folder: Path
    authority: Authority | None = None
    acl: str | None = None
    extra: tuple[str, ...] = ()
    port: int = 0
    server_valid_for: timedelta = _LIFE
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where a client connects to."""
        return f"mqtts://localhost:{self.port}" if self.authority else f"mqtt://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        """Return the file with all that the broker said."""
        return self.folder / "mosquitto.log"

    def start(self) -> None:
        """Start the broker and return when all its listeners accept connections."""
        for _ in range(_START_ATTEMPTS):
            self.port = self.port or free_port()
            if self._try_start():
                return
            self.port = 0
        raise RuntimeError(f"mosquitto did not start: {self.log_path.read_text()}")

    def stop(self) -> None:
        """End the broker; its clients see the connection close."""
        self._end(kill=False)

    def kill(self) -> None:
        """End the broker without its consent."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _try_start(self) -> bool:
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(self._config()) + "\n")
        with self.log_path.open("ab") as log:
            process = subprocess.Popen([mosquitto_path(), "-c", str(config)], stdout=log, stderr=log)
        self._process = process
        give_up = time.monotonic() + START_TIMEOUT_S
        waiting = [self.port, *(int(line.split()[1]) for line in self.extra if line.startswith("listener "))]
        while waiting and time.monotonic() < give_up and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", waiting[0]), timeout=1):
                waiting.pop(0)
                continue
            time.sleep(0.01)
        if waiting:
            self.kill()
        return not waiting

    def _config(self) -> list[str]:
        lines = [
            "user root",  # Only heeded when started as root: stay able to read the test's own folder.
            "persistence false",
            "set_tcp_nodelay true",
            "max_inflight_messages 1000",
            "max_queued_messages 100000",
            "log_type all",
            f"listener {self.port} 127.0.0.1",
        ]
        if self.authority:
            server = self.authority.issue("server", server=True, valid_for=self.server_valid_for)
            lines += [
                "allow_anonymous false",
                f"cafile {self.authority.ca_path}",
                f"certfile {server.cert_path}",
                f"keyfile {server.key_path}",
                "require_certificate true",
                "use_identity_as_username true",
            ]
        elif not any(line.startswith("allow_anonymous") for line in self.extra):
            lines.append("allow_anonymous true")
        if self.acl is not None:
            acl_path = self.folder / "acl"
            acl_path.write_text(self.acl)
            acl_path.chmod(0o600)
            lines.append(f"acl_file {acl_path}")
        return [*lines, *self.extra]


@contextlib.contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    """Run a broker for the block."""
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A plain broker that lets everyone in."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker(folder=folder)) as started:
        yield started


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that demands a client certificate: ``tls_broker.authority.issue("site-1")`` makes one."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker(folder=folder, authority=Authority(folder=folder))) as started:
        yield started
