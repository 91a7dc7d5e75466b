"""A server that speaks TLS itself, and the certificates for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import free_port


@dataclass(frozen=True)
class Certificates:
    """An authority, and a certificate for 127.0.0.1 by it, which serves both ends.

    Attributes:
        ca: File of the authority's.
        crt: File of the other one.
        key: Its key.
    """

    ca: Path
    crt: Path
    key: Path

    @property
    def query(self) -> str:
        """Of a URL: the client shows its own certificate, and looks at the server's."""
        return f"ssl_cert_reqs=required&ssl_ca_certs={self.ca}&ssl_certfile={self.crt}&ssl_keyfile={self.key}"

    @property
    def server(self) -> tuple[str, ...]:
        """Options of a server that asks each client for its certificate."""
        files = ("--tls-ca-cert-file", self.ca), ("--tls-cert-file", self.crt), ("--tls-key-file", self.key)
        return tuple(str(word) for pair in files for word in pair)


def certificates(folder: Path) -> Certificates:
    """Make them."""
    ca, crt, key = folder / "ca.crt", folder / "one.crt", folder / "one.key"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    _run(*new, "-keyout", f"{folder}/ca.key", "-out", f"{ca}", "-subj", "/CN=authority", *usage)
    _run(
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        f"{key}",
        "-out",
        f"{folder}/csr",
        "-subj",
        "/CN=one",
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ["openssl", "x509", "-req", "-in", f"{folder}/csr", "-CA", f"{ca}", "-CAkey", f"{folder}/ca.key"]
    _run(*signed, "-CAcreateserial", "-days", "2", "-extfile", f"{folder}/names", "-out", f"{crt}")
    return Certificates(ca, crt, key)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def binary() -> str:
    """The system's server: the one that the package `embedded` brings was built without TLS."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    assert found is not None, "no server with TLS is installed"
    return found


@contextmanager
def tls_server(made: Certificates, *options: str) -> Iterator[tuple[embedded.Server, int]]:
    """Start a server; yields it, and its port for TLS. It fails where the server was built without it."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(embedded.BINARY_VARIABLE, binary())
        server = embedded.start(appendonly=False, extra_args=("--tls-port", str(port), *made.server, *options))
    with server:
        yield server, port
