"""The proxies that are measured: each function gives the command line of one for a listening port.

How a proxy stands between client and upstream, `how`: "plain"; "tls" on both sides; "clients": TLS on their side alone;
"named": the endpoint of QCC has a name, which it resolves anew from time to time (the others resolve names at their
start, so that it is an address to them)."""
import http.client
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import time

from bench import PATH, Failed
from machine import free_port, room

JSON_1K = "reply_bytes=1024"


def nginx(b, port, how, workers):
    exe = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    tag = f"nginx-{port}"
    tmp = "\n".join(f"  {kind}_temp_path {b.path(tag)}-{kind};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    here = f"ssl_certificate {b.cert}; ssl_certificate_key {b.key}; ssl_protocols TLSv1.2 TLSv1.3;" if how in ("tls", "clients") else ""
    there = (f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {b.cert}; proxy_ssl_name localhost;"
             " proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3;") if how == "tls" else ""
    conf = b.path(tag + ".conf", f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {workers};
worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[0]};
pid {b.path(tag + ".pid")};
error_log {b.path(tag + ".log")};
events {{ worker_connections 40000; }}
http {{
  access_log off;
{tmp}
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_buffer_size 256k;
  upstream up {{ server {b.up[how]}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} {"ssl" if how in ("tls", "clients") else ""} backlog=4096;
    {here}
    location / {{
      proxy_pass http{"s" if how == "tls" else ""}://up;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
      {there}
    }}
  }}
}}
""")
    return exe and [exe, "-c", conf, "-e", b.path(tag + ".log")]


def haproxy(b, port, how, workers):
    exe = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    here = f"ssl crt {b.pem}" if how in ("tls", "clients") else ""
    there = f"ssl ca-file {b.cert} verify required sni str(localhost) verifyhost localhost" if how == "tls" else ""
    conf = b.path(f"haproxy-{port}.cfg", f"""
global
  maxconn {room(20000)}
  nbthread {workers}
defaults
  mode http
  option http-no-delay
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
frontend f
  bind 127.0.0.1:{port} backlog 4096 {here}
  default_backend b
backend b
  server up {b.up[how]} pool-max-conn 1000 {there}
""")
    return exe and [exe, "-db", "-q", "-f", conf]


def before(b, port, how, workers, **more):
    return qcc(b, port, how, workers, b.args.before, **more)


def qcc(b, port, how, workers, build=None, more="", endpoints=1, openai=False, admin=None):
    exe = b.binary("qcc-supervisor", build) if b.binary("qcc-worker", build) else None
    where = f'"127.0.0.1:{port}"'
    listen = f"{{address: {where}, tls: {{certificate: {b.cert}, private_key: {b.key}}}}}" if how in ("tls", "clients") else where
    up = b.up[how].replace("127.0.0.1", "localhost") if how in ("tls", "named") else b.up[how]
    one = ('  - {{name: bench{0}, base_url: "http' + ("s" if how == "tls" else "") + f'://{up}' + ("/v1" if openai else "") + '", '
           'api_key: sk-ant-bench-upstream{0}' + (", protocol: openai" if openai else "") + '}}\n')
    conf = b.path(f"qcc-{port}.yaml", f"""
listen: [{listen}]
workers: {workers}
control_socket: {b.path(f"qcc-{port}.sock")}
admin: {{listen: {f'"127.0.0.1:{admin}"' if admin else "off"}}}
limits: {{max_connections: 40000}}
upstream:
  pool: {{max_connections: 20000, max_idle: 512}}
  {f"ca_file: {b.cert}" if how == "tls" else ""}
endpoints:
{"".join(one.format(n) for n in range(endpoints))}
log: {{access: off, level: warning, file: {b.path(f"qcc-{port}.log")}}}
{more}
""")
    return exe and [exe, "-c", conf]


PEERS = {"nginx": nginx, "haproxy": haproxy, "qcc": qcc}  # and before, if there is such a build


def there(b, names):
    """Of the names those that are installed or built."""
    return [n for n in names if n in PEERS and PEERS[n](b, free_port(), "plain", 1)]


class Proxy:
    """A running proxy that has been seen to reply rightly."""

    def __init__(self, b, name, how="plain", workers=1, cpus=None, **more):
        self.b, self.name, self.tls = b, name, how in ("tls", "clients")
        self.port = free_port()
        argv = PEERS[name](b, self.port, how, workers, **more)
        self.p = None
        if not argv:
            raise Failed(f"{name} is not installed, or not built")
        self.errors = open(b.path(f"{name}-{self.port}.err", ""), "r+")
        self.p = b.start(argv, cpus or b.proxy_cpu, stdout=self.errors, stderr=self.errors)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if self.p.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{name} does not start: {self.said()}")
                time.sleep(0.02)
        if not more.get("openai"):
            self.check()

    def said(self):
        self.errors.seek(0)
        text = self.errors.read()
        log = self.b.path(f"{self.name}-{self.port}.log")
        if os.path.exists(log):
            with open(log) as f:
                text += f.read()
        return text[-2000:]

    def check(self):
        """The same reply as without a proxy, byte for byte; JSON and stream, small and large request."""
        for spec, stream, size in ((JSON_1K, False, 10), (JSON_1K, False, 200000),
                                   ("stream,events=50,event_bytes=120", True, 10)):
            self.b.behave(spec)
            body = json.dumps({"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "x" * size}],
                               "max_tokens": 10, "stream": stream})
            got = [post(self.b.up["plain"], False, body), post(f"127.0.0.1:{self.port}", self.tls, body)]
            if got[0] != got[1] or got[0][0] != 200:
                raise Failed(f"{self.name} replies wrongly to {spec}: {got[1][0]} {got[1][1][:300]!r}\n{self.said()}")

    def stop(self):
        if self.p:
            self.b.stop(self.p)
            self.errors.close()


def ctl(b, p, *words):
    """What qccctl says of a running QCC."""
    done = subprocess.run([b.binary("qccctl"), "--socket", b.path(f"qcc-{p.port}.sock"), "--json", *words],
                          capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failed(f"qccctl {words[0]}: {done.stderr}")
    return json.loads(done.stdout)


def post(where, tls, body):
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection(where, timeout=10, context=context)
    else:
        c = http.client.HTTPConnection(where, timeout=10)
    try:
        c.request("POST", PATH, body, {"content-type": "application/json", "x-api-key": "sk-ant-client",
                                       "anthropic-version": "2023-06-01"})
        r = c.getresponse()
        return r.status, r.read()
    except (OSError, http.client.HTTPException) as e:
        return 0, repr(e).encode()
    finally:
        c.close()
