"""qcc-supervisor -t --connect: tries every endpoint of a file."""
import subprocess

from authority import authority, server  # noqa: F401
from qcc import SUPERVISOR, free_port
from upstream import reply


def check(q, *more):
    return subprocess.run([str(SUPERVISOR), "-t", *more, "-c", str(q.path)], env=q.env, text=True, capture_output=True, timeout=60)


def lines(done):
    return [line for line in done.stdout.splitlines() if " (http" in line]


def test_all_answer(qcc, raw, authority):  # noqa: F811
    head = reply(b"", 404)
    plain, tls = raw(head), raw(head, tls=server(authority.good))
    q = qcc({"endpoints": [plain.endpoint("plain"), tls.endpoint("tls", enabled=False)], "upstream": {"ca_file": authority.ca}}, start=False)
    done = check(q, "--connect")
    assert done.returncode == 0, done
    assert [line.split(": ")[0] for line in lines(done)] == ["plain (%s)" % plain.endpoint()["base_url"],
                                                            "tls (%s), not enabled" % tls.endpoint()["base_url"]]
    assert all(": good: status 404 after " in line for line in lines(done))
    for up in (plain, tls):
        assert [r.line for r in up.requests] == ["HEAD / HTTP/1.1"]  # costs nothing


def test_each_failure_is_told(qcc, raw, authority):  # noqa: F811
    good, broken = raw(reply(b"")), raw(reply(b"", 503))
    other = raw(reply(), tls=server(authority.make("wrong", "DNS:example.org")))
    port = free_port()
    q = qcc({"endpoints": [good.endpoint("good"), broken.endpoint("broken"), other.endpoint("other"),
                           {"name": "refused", "base_url": "http://127.0.0.1:%d" % port, "api_key": "sk-0123456789abcdef"},
                           {"name": "nobody", "base_url": "https://nobody.invalid"}],
             "upstream": {"ca_file": authority.ca}}, start=False)
    done = check(q, "--connect")
    got = {line.split(" ")[0]: line.split(": ", 1)[1] for line in lines(done)}
    assert done.returncode == 1 and len(got) == 5, done
    assert got["good"].startswith("good: status 200 after ")
    assert got["broken"].startswith("failed: status 503 after ")
    assert got["other"] == "failed: certificate not accepted: name does not match: it is for example.org (127.0.0.1)"
    assert got["refused"] == "failed: connection refused"
    assert got["nobody"].startswith("failed: host name not found") and "nobody.invalid" in got["nobody"]
    assert "0123456789abcdef" not in done.stdout + done.stderr


def test_faulty_file_is_not_tried(qcc, raw):
    up = raw(reply(b""))
    q = qcc({"endpoints": [up.endpoint()]}, start=False)
    q.path.write_text(q.path.read_text().replace('"workers"', '"wrokers"'))
    done = check(q, "--connect")
    assert done.returncode == 1 and "did you mean" in done.stderr and not up.requests


def test_connect_goes_with_t(qcc):
    q = qcc(start=False)
    done = subprocess.run([str(SUPERVISOR), "--connect", "-c", str(q.path)], text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and "--connect goes with -t" in done.stderr
