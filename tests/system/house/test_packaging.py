"""What the packages bring: the unit, its sandbox, the manual pages, the configuration, logrotate's file,
completion. The packages themselves are tested by `make test-package`."""
import ctypes.util
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import pytest

from client import ask
from qcc import BUILD, PATIENCE, ROOT, SUPERVISOR, WORKER, free_port, until
from authority import Authority, server
from upstream import EVENTS, MESSAGE, STREAM, reply

PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "systemd/qcc.service"
NOBODY = "nobody"


def need(tool):
    return pytest.mark.skipif(not shutil.which(tool), reason=f"there is no {tool} here")


def run(*args, env=None):
    # what a make around the tests says to its own kind is not for one that is started here
    env = {k: v for k, v in (env or os.environ).items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run([str(a) for a in args], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, cwd=ROOT, env=env)
    return done.returncode, done.stdout


# ---- units

def unit_for(version):
    code, text = run("packaging/systemd/unit.sh", version)
    assert code == 0, text
    return text


def test_the_unit_by_what_systemd_knows():
    old, new = unit_for("252"), unit_for("253")
    assert "\nType=notify\n" in old and "\nExecReload=/usr/bin/qccctl reload\n" in old
    assert "\nType=notify-reload\n" in new and "\nExecReload=/usr/bin/qcc-supervisor -t -c /etc/qcc/qcc.yaml\n" in new
    for number in ("257.9-1~deb13u1", "253", "260~rc1"):
        assert unit_for(number) == new
    different = [line for line in new.splitlines() if line not in old.splitlines()]
    assert len(different) == 2, different


@need("systemd-analyze")
@pytest.mark.parametrize("version", ["252", "999"])
def test_units_are_clean(tmp_path, version):
    """systemd-analyze verify has nothing to say: it looks for the programs too."""
    text = unit_for(version)
    if version == "999":  # a systemd that does not know it yet would say so
        text = text.replace("Type=notify-reload", "Type=notify")
    for program in ("/usr/bin/qcc-supervisor", "/usr/bin/qccctl"):
        assert program in text or version == "999"
        text = text.replace(program, str(SUPERVISOR))
    (tmp_path / "qcc.service").write_text(text)
    shutil.copy(PACKAGING / "systemd/qcc.socket", tmp_path)
    drop = tmp_path / "qcc.service.d"
    drop.mkdir()
    shutil.copy(PACKAGING / "systemd/port-443.conf", drop)
    code, said = run("systemd-analyze", "verify", "--man=no", tmp_path / "qcc.service", tmp_path / "qcc.socket")
    assert (code, said.strip()) == (0, "")


@need("systemd-analyze")
def test_exposure():
    code, said = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for qcc.service: ([0-9.]+)", said)
    assert code == 0 and found, said
    assert float(found.group(1)) <= 2.0, said


def sandboxed(q):
    """The supervisor of this instance will run under the unit's filters of system calls."""
    if not ctypes.util.find_library("seccomp") and not list(pathlib.Path("/").glob("usr/lib/*/libseccomp.so.2")):
        pytest.skip("there is no libseccomp here")
    q.command = [sys.executable, str(pathlib.Path(__file__).parents[1] / "sandbox.py"), str(UNIT), *q.command]
    # the search for leaks at the end attaches to the process as a debugger does
    q.env["ASAN_OPTIONS"] = q.env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return q


@need("systemd-analyze")
def test_the_filter_forbids(tmp_path):
    """What the next test relies on: a forbidden call is the end of the process."""
    launch = [sys.executable, pathlib.Path(__file__).parents[1] / "sandbox.py", UNIT]
    for code, result in (
            ("pass", 0),
            ("socket.socket(socket.AF_INET)", 0),
            ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", -signal.SIGSYS),
            ("mmap.mmap(-1, 4096, prot=7)", -signal.SIGSYS),
            ("os.setuid(os.getuid())", -signal.SIGSYS),
            ("os.chroot('/')", -signal.SIGSYS),
            ("ctypes.CDLL(None).unshare(0x40000000)", -signal.SIGSYS),
            ("ctypes.CDLL(None).ptrace(0, 0, 0, 0)", -signal.SIGSYS)):
        assert run(*launch, sys.executable, "-c", "import ctypes, mmap, os, socket; " + code)[0] == result, code


@need("systemd-analyze")
def test_all_work_is_done_under_the_filter(qcc, raw, upstream, client, tmp_path):
    """Start, TLS on both sides, streams, a client that leaves, a worker that dies, verification, reload, log
    rotation, state, an upgrade, stop: none needs a system call that the unit forbids."""
    authority = Authority(tmp_path / "ca")
    cert = authority.make("good")
    secure = raw(STREAM, tls=server(cert))
    plain = raw(reply())
    trusting = ssl.create_default_context(cafile=authority.ca)
    q = sandboxed(qcc(start=False))
    plain_port = free_port()
    path = tmp_path / "clients.sock"
    log = tmp_path / "qcc-file.log"

    def config(endpoints, workers=2):
        return {
            "listen": [{"address": "127.0.0.1:%d" % q.port, "tls": {"certificate": cert[0], "private_key": cert[1]}},
                       "127.0.0.1:%d" % plain_port, "unix:%s" % path],
            "workers": workers, "endpoints": endpoints, "upstream": {"ca_file": authority.ca, "warm_up": True},
            "state_dir": str(tmp_path / "state"), "log": {"file": str(log)},
            "balance": {"strategy": "priority_failover"}, "failure_queue": {"verify_interval": "200ms"},
        }

    q.configure(config([secure.endpoint()]))
    q.log_path = log
    q.start()
    c = client(q, tls=trusting, server_hostname="localhost")
    assert c.ask(stream=True).body == b"".join(EVENTS)

    # names are resolved by a thread; another endpoint fails, is queued and verified
    named = dict(plain.endpoint(name="plain"), base_url="http://localhost:%d" % plain.port)
    ill = upstream.endpoint("/s/status=200,body=%3Chtml%3E,type=text%2Fhtml", name="ill", priority=1)
    q.reload(config([ill, dict(named, priority=2)], workers=3))
    assert client(q, tls=trusting, server_hostname="localhost").ask().body == MESSAGE
    q.wait_log("verif")

    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(ask())
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")

    # one that leaves in the middle of a stream, which the kernel is asked about
    slow = upstream.endpoint("/s/events=1000,gap_ms=20", name="slow")
    q.reload(config([slow]))
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask(stream=True))
    until(lambda: b"content_block_delta" in c.sock.recv(65536), "the stream")
    c.close()
    q.wait_log('end="client gone"')

    # half-closed, it is not gone: of a client of this machine the kernel is asked that over netlink
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(str(path))
        s.sendall(ask(stream=True))
        s.shutdown(socket.SHUT_WR)
        until(lambda: b"content_block_delta" in s.recv(65536), "the stream")
    c = client(plain_port)
    c.send(ask(stream=True))
    c.sock.shutdown(socket.SHUT_WR)
    end = time.monotonic() + 1.5  # it is asked each half second
    while time.monotonic() < end:
        assert c.sock.recv(65536)
    c.close()

    old = q.wait_workers(2)
    os.kill(old[0], signal.SIGKILL)
    until(lambda: old[0] not in q.children() and len(q.children()) == 2, "a new worker")
    log.rename(tmp_path / "old.log")
    q.signal(signal.SIGUSR1)
    until(lambda: log.exists() and "reopened" in log.read_text(), "the log file")
    assert q.stop() == 0
    assert (tmp_path / "state/state").exists()
    everything = q.log() + (tmp_path / "old.log").read_text() + q.stderr_path.read_text()
    assert "signal 31" not in everything and "SIGSYS" not in everything, everything
    assert "not permitted" not in everything, everything


# ---- ports below 1024

@need("setpriv")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the capability to another user")
@pytest.mark.parametrize("given", [True, False])
def test_a_low_port_by_capability(qcc, given):
    """As the drop-in port-443.conf has it: another user than root, that one capability."""
    if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 1024 and not given:
        pytest.skip("here anybody may open low ports")
    assert re.findall("CAP_[A-Z_]+", (PACKAGING / "systemd/port-443.conf").read_text()) == ["CAP_NET_BIND_SERVICE"] * 2
    port = next(p for p in range(443, 1024) if free(p))
    user = pwd.getpwnam(NOBODY)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own and the tree may be closed to others
        os.chmod(folder, 0o755)
        for program in (SUPERVISOR, WORKER):
            shutil.copy(program, folder)
        low_port(qcc(start=False, folder=pathlib.Path(folder) / "qcc"), port, user, given)


def low_port(q, port, user, given):
    q.configure({"listen": "127.0.0.1:%d" % port})
    for at in (q.folder, q.path):
        os.chown(at, user.pw_uid, user.pw_gid)
    caps = "+net_bind_service" if given else "-all"
    q.command = ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", "--no-new-privs",
                 "--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", "-all" + (",+net_bind_service" if given else ""),
                 str(q.folder.parent / SUPERVISOR.name), *q.command[1:]]
    if given:
        q.start()
        assert q.get(port=port)[0] in (404, 502, 503)
        assert q.stop() == 0
    else:
        q.start(wait=False)
        assert q.wait() == 1
        assert "cannot listen on 127.0.0.1:%d: Permission denied" % port in q.log()
        assert "; ports below 1024 need root: with the package enable qcc.socket" in q.log()


def free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


# ---- manual pages

PAGES = ["qcc-supervisor.8", "qccctl.1", "qcc.yaml.5", "qcc.7", "qcc-metrics.7", "qcc-container.7", "qcc-windows.7"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """As `make man` makes them, but of the program that is tested."""
    folder = tmp_path_factory.mktemp("man")
    version = run("make", "-s", "version")[1].strip()
    for name in PAGES:
        code, said = run("packaging/man/man.sh", PACKAGING / f"man/{name}.md", version, SUPERVISOR)
        assert code == 0, said
        (folder / name).write_text(said)
    return {name: folder / name for name in PAGES}


def test_make_man_makes_all():
    assert sorted(PAGES) == sorted(path.stem for path in (PACKAGING / "man").glob("*.md"))
    code, said = run("make", "-n", "-B", "man")
    assert code == 0, said
    for name in PAGES:
        assert f"man.sh packaging/man/{name}.md " in said, name


@need("groff")
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_clean(pages, name):
    code, said = run("groff", "-man", "-ww", "-z", pages[name])
    assert (code, said) == (0, "")


@need("mandoc")
@pytest.mark.parametrize("name", PAGES)
def test_mandoc_has_no_complaint(pages, name):
    """But for the date: a page of a version has none of its own."""
    said = run("mandoc", "-T", "lint", "-W", "style", pages[name])[1].splitlines()
    assert [line for line in said if "missing date" not in line] == []


@need("man")
@pytest.mark.parametrize("width", ["80", "100"])
@pytest.mark.parametrize("name", PAGES)
def test_man_shows_pages_without_a_warning(pages, name, width):
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", pages[name]], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "MANWIDTH": width, "LC_ALL": "C.UTF-8"})
    if "minimized" in done.stdout:
        pytest.skip("this system's man is a stub")
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout and "SEE ALSO" in done.stdout


def plain(page):
    """The page's text without its markup."""
    text = re.sub(r"\\f[A-Z]", "", page.read_text())
    for markup, character in (("\\-", "-"), ("\\(aq", "'"), ("\\(ti", "~"), ("\\(ha", "^"), ("\\&", ""), ("\\e", "\\")):
        text = text.replace(markup, character)
    return text


def entries(text):
    """[(tag, text in one line)] of the lists of tags."""
    return [(tag, " ".join(body.split())) for tag, body in re.findall(r"^\.TP\n(.*)\n((?:(?!\.[A-Za-z]).*\n)+)", text, re.M)]


def test_every_key_has_its_place(pages):
    """Section by section, with default and meaning as --print-reference has them."""
    code, reference = run(SUPERVISOR, "--print-reference")
    assert code == 0
    text = plain(pages["qcc.yaml.5"])
    keys = 0
    for section in reference.split("\n### ")[1:]:
        title, _, rest = section.partition("\n")
        head = '.SS "%s"\n' % title.replace("`", "")
        assert head in text, title
        body = text.split(head, 1)[1].split("\n.S", 1)[0]
        for name, default, values, meaning in re.findall(r"^\| `([^`]+)` \| (?:`(.*?)`)? ?\| (.*?) \| (.*) \|$", rest, re.M):
            keys += 1
            values, meaning = values.replace("`", ""), meaning.replace("`", "").replace("…", "...")
            tag = f"{name} ({values}; default {default})" if default else f"{name} ({values})"
            assert (tag, meaning) in entries(body + "\n"), f"{title}: {name}"
    assert keys > 60


def test_every_metric_has_its_place(pages):
    code, table = run(SUPERVISOR, "--print-metrics")
    assert code == 0
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", table, re.M)
    there = entries(plain(pages["qcc-metrics.7"]))
    assert len(rows) > 40
    for name, kind, labels, meaning in rows:
        tag = "%s (%s)" % (name, "; ".join(x for x in (kind, labels.replace("`", "")) if x))
        assert (tag, meaning) in there, name


def test_man_says_where_a_page_is_faulty(tmp_path):
    """What the markup of the pages does not have is an error, not a page with holes."""
    for text, why in (("# a(1)\n\n## NAME\n\na - b\n\nsaid by `one\n", "a ` is left over"), ("# a(1)\n\n\u00e9t\u00e9\n", "not ASCII"),
                      ("text\n", "begins with its title"), ("# a(1)\n\n| a | b |\n|---|---|\n| c |\n", "a line of 1 cells")):
        page = tmp_path / "a.1.md"
        page.write_text(text)
        code, said = run("packaging/man/man.sh", page, "1.0", SUPERVISOR)
        assert code != 0 and why in said, text


def test_pages_name_signals_options_and_commands(pages):
    text = plain(pages["qcc-supervisor.8"])
    code, usage = run(SUPERVISOR, "-h")
    assert code == 0
    for option in set(re.findall(r"(?<!\w)(--?[a-zA-Z-]+)", usage)):
        assert option in text, option
    for name in ("HUP", "TERM", "INT", "USR1", "USR2"):
        assert "SIG" + name in text
    text = plain(pages["qccctl.1"])
    for command in ("status", "endpoints", "breakers", "queue", "sessions", "requests", "why", "enable", "disable", "drain",
                    "verify", "reset", "reload", "upgrade", "stop", "logs", "env", "run", "import", "completion", "dashboard",
                    "overview", "config"):
        assert re.search(r"^\.TP\n%s\b" % command, text, re.M), command


@pytest.mark.skipif(not (BUILD / "qccctl").exists(), reason="no qccctl has been built")
def test_page_has_what_qccctl_says_of_itself(pages):
    code, said = run(BUILD / "qccctl", "help")
    assert code == 0
    text = plain(pages["qccctl.1"])
    commands = re.findall(r"^  ([a-z]+) ", said, re.M)
    options = re.findall(r"(?<![\w-])(--?[a-zA-Z][a-z-]*)", said)
    assert len(commands) > 15 and "--json" in options
    for word in commands + options:
        assert re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(word), text), word


def test_version_is_the_trees(pages):
    code, version = run("make", "-s", "version")
    assert code == 0
    for path in pages.values():
        assert '"QCC %s"' % version.strip() in plain(path)


# ---- configuration, logs, completion

def test_installed_configuration_serves_at_once(qcc, tmp_path):
    """Good with no variable set, on loopback only, with the service's state_dir; and it starts."""
    code, text = run("packaging/sample.sh")
    assert code == 0, text
    path = tmp_path / "qcc.yaml"
    path.write_text(text)
    env = {k: v for k, v in os.environ.items() if k != "ANTHROPIC_API_KEY"}
    code, said = run(SUPERVISOR, "-t", "-c", path, env=env)
    assert (code, said) == (0, f"{path}: good\n")
    assert re.search(r"^state_dir: /var/lib/qcc\s", text, re.M)
    assert not re.search(r"^\s*(listen|api_key|admin)\b", text, re.M)
    q = qcc(start=False)
    q.configure(text.replace("state_dir: /var/lib/qcc", "state_dir: %s" % (tmp_path / "state"))
                + 'listen: "127.0.0.1:%d"\nadmin: {listen: "127.0.0.1:%d"}\n' % (q.port, q.admin_port))
    q.start()
    assert q.get("/healthz", port=q.admin_port)[0] == 200
    assert q.stop() == 0


@need("logrotate")
def test_logrotate_takes_its_file(tmp_path):
    """With a user and a folder that are there."""
    text = (PACKAGING / "qcc.logrotate").read_text()
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "qcc.log").write_text("x\n")
    me = pwd.getpwuid(os.getuid()).pw_name
    path = tmp_path / "qcc"
    path.write_text(text.replace("/var/log/qcc", str(folder)).replace(" qcc qcc", f" {me} {me}"))
    path.chmod(0o644)
    code, said = run("logrotate", "-d", "-s", tmp_path / "status", path)
    assert code == 0 and "error" not in said.lower(), said
    assert str(folder / "qcc.log") in said


def test_helper_says_what_it_can():
    code, said = run("packaging/qcc-service")
    assert code == 2 and "usage" in said


@pytest.mark.parametrize("shell, name", [("bash", "qccctl.bash"), ("zsh", "_qccctl")])
def test_completion_parses(shell, name):
    path = PACKAGING / "completion" / name
    if not path.exists():
        pytest.skip("no completion in the tree")
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    assert run(shell, "-n", path) == (0, "")


def test_install_puts_everything_there(tmp_path, pages):
    """make install, with what is built already."""
    code, said = run("make", "-s", "-n", "install", "DESTDIR=%s" % tmp_path)
    assert code == 0, said
    for part in ("bin/qcc-supervisor", "libexec/qcc/qcc-worker", "libexec/qcc/qcc-recorder", "libexec/qcc/qcc-link", "share/qcc/qcc.yaml",
                 "share/qcc/prices.yaml", *("build/man/" + page for page in PAGES)):
        assert part in said, part
