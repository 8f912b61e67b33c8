"""Certificates (class Authority), and contexts of both sides."""
import ssl
import subprocess

import pytest

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"probe": "off"},
    "balance": {"strategy": "priority_failover"},
}


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Authority:
    """A CA of our own: ca.pem, and NAME.pem with NAME.key for each certificate made."""

    def __init__(self, folder, name="Test CA"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", "2", "-subj", "/CN=" + name)
        self.ca = str(folder / "ca.pem")

    def make(self, name, names="DNS:localhost,IP:127.0.0.1", days="2"):
        """(certificate, key): paths."""
        f = self.folder
        (f / (name + ".ext")).write_text("subjectAltName=%s\nbasicConstraints=CA:FALSE\n" % names)
        openssl(f, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
                "-out", name + ".csr", "-subj", "/CN=" + name)
        openssl(f, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
                "-extfile", name + ".ext", "-out", name + ".pem")
        (f / (name + ".key")).chmod(0o600)
        return str(f / (name + ".pem")), str(f / (name + ".key"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    a = Authority(tmp_path_factory.mktemp("ca"))
    a.good = a.make("good")
    return a


@pytest.fixture
def trusting(authority):
    """A client's context that trusts our CA."""
    return ssl.create_default_context(cafile=authority.ca)


def server(cert):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*cert)
    return c
