"""TLS whose records leave when a test says so (class Tls), with a certificate of its own (`pem`)."""
import ssl
import subprocess

import pytest


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """(certificate, key) of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("pem")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


class Tls:
    """TLS whose records leave when the test says so: for what arrives in odd pieces."""

    def __init__(self, sock, context, server=False):
        self.sock, self.inside, self.outside = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside, server_side=server,
                                    server_hostname=None if server else "localhost")
        self.pump(self.tls.do_handshake)
        self.flush()

    def pump(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    raise EOFError
                self.inside.write(data)

    def flush(self):
        data = self.outside.read()
        if data:
            self.sock.sendall(data)

    def records(self, data):
        """The bytes of a record (or more) that are to be sent."""
        self.tls.write(data)
        return self.outside.read()

    def read(self):
        return self.pump(lambda: self.tls.read(65536))

    def until(self, mark):
        data = b""
        while mark not in data:
            data += self.read()
        return data


def client_context(pem):
    c = ssl.create_default_context(cafile=str(pem[0]))
    c.check_hostname = False
    return c


def server_context(pem):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*map(str, pem))
    return c


def listen(q, pem):
    return {"listen": [{"address": "127.0.0.1:%d" % q.port,
                        "tls": {"certificate": str(pem[0]), "private_key": str(pem[1])}}]}
