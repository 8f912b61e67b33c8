"""The clients of a campaign: one event loop, a record for each request.

A record is plain data: id (sent as x-chaos-id, which QCC passes on), kind, stream, model, session, sha256 of the body, good
(an endpoint that is well serves it), fake (the SPEC that it asks of every endpoint), t0, t1 (seconds, CLOCK_MONOTONIC), fresh
(a new connection), status, headers, first (when the first content came), text (its whole text), tail, and `end`:

    whole        a complete reply; of a stream: message_stop, or a body that is no stream
    error event  a stream that ended with `event: error`
    cut          the connection ended before the reply did
    silent       the reply is complete, and the stream has neither message_stop nor an error
    none         the connection ended before a byte of a reply
    refused      no connection
    left         the client went away, as planned
    gave up      nothing came for PATIENCE seconds
"""
import asyncio
import contextlib
import gzip
import hashlib
import json
import re
import socket
import struct
import time

PATIENCE = 5.0
LIMIT = 1 << 20
REPEAT_S = 0.07
HEAD = "content-type: application/json\r\nx-api-key: sk-client-0123456789\r\nanthropic-version: 2023-06-01\r\n"
SLOW_FAKE = "events=150,event_bytes=8000"


def now():
    return time.monotonic()


class Cut(Exception):
    pass


# ---- bytes

def question(record, name, pad, stream, model, text=None):
    """The bytes of a message request; fills in the record."""
    body = json.dumps({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text or "say " + record["id"]}],
                       **({"pad": "x" * pad} if pad else {}), "stream": stream}).encode()
    record.update(stream=stream, model=model, sha256=hashlib.sha256(body).hexdigest())
    return request(record, "POST", name, body)


def request(record, method, path, body=None, more=""):
    head = "%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\nx-chaos-id: %s\r\n%s%s" % (method, path, record["id"], HEAD, more)
    if record.get("session"):
        head += "x-claude-code-session-id: %s\r\n" % record["session"]
    if record.get("fake"):
        head += "x-fake: %s\r\n" % record["fake"]
    if body is not None:
        head += "content-length: %d\r\n" % len(body)
    return (head + "\r\n").encode() + (body or b"")


def sse_events(body):
    """[(name, data)] of an event stream, data None where it is no JSON; pings and comments are left out."""
    found = []
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        name, data = "", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if field == b"event":
                name = value.decode("latin-1")
            elif field == b"data":
                data.append(value)
        if not name and not data or name == "ping":
            continue
        try:
            found.append((name, json.loads(b"\n".join(data))))
        except ValueError:
            found.append((name, None))
    return found


def judge_stream(body):
    """(end, text) of a stream that was read to its end."""
    events = sse_events(body)
    text = "".join(d["delta"].get("text", "") for n, d in events
                   if n == "content_block_delta" and isinstance(d, dict) and isinstance(d.get("delta"), dict))
    stops = [i for i, (n, _) in enumerate(events) if n == "message_stop"]
    errors = [i for i, (n, _) in enumerate(events) if n == "error"]
    if len(stops) + len(errors) > 1:
        return "silent", text + " (%d message_stop, %d errors)" % (len(stops), len(errors))
    if stops and stops[0] == len(events) - 1:
        return "whole", text
    if errors and errors[0] == len(events) - 1:
        return "error event", text
    return "silent", text


def json_text(body):
    try:
        return json.loads(body)["content"][0]["text"]
    except (ValueError, LookupError, TypeError):
        return ""


# ---- one connection

class Connection:
    def __init__(self, port):
        self.port, self.reader, self.writer, self.used = port, None, None, False

    async def open(self, small=False):
        sock = socket.socket()
        sock.setblocking(False)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=LIMIT)

    def close(self, reset=False):
        if self.writer:
            with contextlib.suppress(OSError):
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.writer.transport.abort()
            self.writer.close()
            self.writer = None

    async def read_reply(self, record, method="POST"):
        """Reads one reply into the record. Raises Cut when the connection ends in it."""
        line = await self.reader.readline()
        if not line:
            raise Cut("none")
        record["began"] = now()
        record["end"] = "cut"
        parts = line.split()
        if len(parts) < 2 or not parts[1].isdigit():
            record["odd"] = "no HTTP: %r" % line[:80]
            raise Cut("cut")
        record["status"], headers = int(parts[1]), {}
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                raise Cut("cut")
            if line == b"\r\n":
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        record["headers"] = headers
        body = bytearray()
        try:
            await self.read_body(record, headers, body, method)
        finally:
            record["tail"] = bytes(body[-300:]).decode("latin-1")
            record["pings"] = body.count(b"event: ping")
            if record["status"] != 200:
                record["body"] = bytes(body[:2000]).decode("latin-1")
            record["size"] = len(body)
        if headers.get("content-type", "").startswith("text/event-stream"):
            record["end"], record["text"] = judge_stream(bytes(body))
        else:
            record["end"], record["text"] = "whole", json_text(bytes(body))
        return headers.get("connection", "").lower() != "close"

    async def read_body(self, record, headers, body, method):
        if method == "HEAD" or record["status"] in (204, 304):
            return
        if headers.get("transfer-encoding") == "chunked":
            while True:
                line = await self.reader.readline()
                if not line.endswith(b"\n"):
                    raise Cut("cut")
                n = int(line.split(b";")[0], 16)
                body += await self.reader.readexactly(n)
                if n and "first" not in record and b"content_block_start" in body:
                    record["first"] = now()
                await self.reader.readexactly(2)
                if n == 0:
                    return
        elif "content-length" in headers:
            left = int(headers["content-length"])
            while left:
                piece = await self.reader.read(min(left, 65536))
                if not piece:
                    raise Cut("cut")
                body += piece
                left -= len(piece)
        else:
            body += await self.reader.read(-1)

    async def send(self, data, how):
        """The request as it stands, or framed or cut in another way."""
        if how == "plain":
            self.writer.write(data)
            return
        head, body = data.split(b"\r\n\r\n", 1)
        if how == "http10":
            head = head.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
        elif how == "chunked":
            head = re.sub(b"\r\ncontent-length: \\d+", b"\r\ntransfer-encoding: chunked", head)
            pieces = [body[i:i + 700] for i in range(0, len(body), 700)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
        elif how == "expect":
            head += b"\r\nexpect: 100-continue"
        self.writer.write(head + b"\r\n\r\n")
        if how == "expect":
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            if line.split()[1:2] != [b"100"]:
                raise Cut("none" if not line else "cut")
            await self.reader.readline()
        step = len(body) // 4 + 1 if how == "pieces" else len(body)
        for i in range(0, len(body), step):
            self.writer.write(body[i:i + step])
            if how == "pieces":
                await asyncio.sleep(0.02)

    async def ask(self, record, data, method="POST", how="plain"):
        """Sends the request and reads its reply; whether the connection can be used again."""
        record["fresh"], record["t0"] = not self.used, now()
        self.used = True
        again = False
        try:
            if not self.writer:
                await self.open()
            await self.send(data, how)
            record["sent"] = now()
            again = await asyncio.wait_for(self.read_reply(record, method), PATIENCE)
        except Cut as why:
            record["end"] = str(why)
        except asyncio.IncompleteReadError:
            record["end"] = "cut"
        except asyncio.TimeoutError:
            record["end"] = "gave up"
        except ConnectionRefusedError:
            record["end"] = "refused"
        except OSError:
            record["end"] = "cut" if "status" in record else "none"
        record["t1"] = now()
        if not again:
            self.close()
            self.used = False
        return again


# ---- kinds of clients

class Clients:
    def __init__(self, seed, port):
        self.seed, self.port, self.records, self.count = seed, port, [], 0

    def record(self, c, good=True, **more):
        self.count += 1
        out = {"id": "%s.%s.%d" % (self.seed, c["name"], self.count), "kind": c["kind"], "good": good, "end": "none",
               "session": c.get("session"), **more}
        self.records.append(out)
        return out

    async def run(self, c):
        await getattr(self, "do_" + c["kind"])(c)

    async def message(self, c, stream, connection=None, how="plain", **more):
        own = connection or Connection(self.port)
        record = self.record(c, **more)
        await own.ask(record, question(record, "/v1/messages", c["pad"], stream, c["model"]), how=how)
        # A kept connection may end as the request is sent: a client sends it once more.
        if record["end"] == "none" and not record["fresh"]:
            record["end"] = "stale"
            record = self.record(c, **more)
            await own.ask(record, question(record, "/v1/messages", c["pad"], stream, c["model"]))
        if not connection:
            own.close()
        return record

    async def do_json(self, c):
        await self.message(c, False, how=c.get("how", "plain"))

    async def do_stream(self, c):
        await self.message(c, True, how=c.get("how", "plain"))

    async def do_keep(self, c):
        connection = Connection(self.port)
        for stream in c["streams"]:
            await self.message(c, stream, connection)
        connection.close()

    async def do_conversation(self, c):
        connection = Connection(self.port)
        for i, stream in enumerate(c["streams"]):
            await self.message(c, stream, connection, turn=i)
            if i % 2:
                connection.close()
                connection.used = False
            await asyncio.sleep(c["pause"])
        connection.close()

    async def do_burst(self, c):
        await asyncio.gather(*[self.message(c, stream) for stream in c["streams"]])

    async def do_refused(self, c):
        await self.message(c, c["stream"], good=False, fake=c["fake"])

    async def do_poison(self, c):
        """The same bytes again and again, which every endpoint fails on; with the pause that every client makes: what two
        workers say of one message within a moment reaches the supervisor in any order."""
        for i in range(c["times"]):
            await asyncio.sleep(REPEAT_S if i else 0)
            record = self.record(c, good=False, fake=c["fake"])
            connection = Connection(self.port)
            await connection.ask(record, question(record, "/v1/messages", 0, c["stream"], c["model"], text="poison"))
            connection.close()

    async def do_abort(self, c):
        record = self.record(c, good=False)
        connection = Connection(self.port)
        task = asyncio.create_task(connection.ask(
            record, question(record, "/v1/messages", c["pad"], c["stream"], c["model"])))
        await asyncio.wait([task], timeout=c["after"])
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            record.update(end="left", t1=now())
            connection.close(c["reset"])
        connection.close()

    async def do_slow(self, c):
        """Reads nothing for a while, and then all of it."""
        record = self.record(c, good=True, fake=SLOW_FAKE, t0=now(), fresh=True, slow=c["after"])
        connection = Connection(self.port)
        data = question(record, "/v1/messages", c["pad"], True, c["model"])
        try:
            await connection.open(small=True)
            connection.writer.write(data)
            connection.writer.transport.pause_reading()
            await asyncio.sleep(c["after"])
            connection.writer.transport.resume_reading()
            await asyncio.wait_for(connection.read_reply(record), PATIENCE)
        except asyncio.TimeoutError:
            record["end"] = "gave up"
        except (Cut, asyncio.IncompleteReadError, OSError):
            record["end"] = "cut" if "status" in record else "none"
        record["t1"] = now()
        connection.close()

    async def do_count(self, c):
        record = self.record(c, good=False, count=True)
        body = json.dumps({"model": c["model"], "messages": [{"role": "user", "content": "x" * 100}]}).encode()
        connection = Connection(self.port)
        await connection.ask(record, request(record, "POST", "/v1/messages/count_tokens", body))
        connection.close()

    async def do_side(self, c):
        method, path = c["what"].split()
        record = self.record(c, good=False, side=c["what"])
        connection = Connection(self.port)
        await connection.ask(record, request(record, method, path, b"{}" if method == "POST" else None), method)
        connection.close()

    async def do_faulty(self, c):
        record = self.record(c, good=False, faulty=c["what"])
        what, connection = c["what"], Connection(self.port)
        if what == "no json":
            data = request(record, "POST", "/v1/messages", b"this is no JSON")
        elif what == "cut json":
            data = request(record, "POST", "/v1/messages", b'{"model":"m","messages":[{"role":"us')
        elif what == "half":
            data = request(record, "POST", "/v1/messages", b"x" * 100)[:-60]
        elif what == "garbage":
            data = b"\x16\x03\x01 no HTTP\r\n\r\n"
        elif what == "no length":
            data = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx-chaos-id: %s\r\n\r\n" % record["id"].encode()
        elif what == "get":
            data = request(record, "GET", "/v1/messages")
        elif what == "gzip":
            body = gzip.compress(json.dumps({"model": c["model"], "messages": []}).encode())
            data = request(record, "POST", "/v1/messages", body, "content-encoding: gzip\r\n")
        else:
            data = b""
        if what in ("half", "silent"):
            task = asyncio.create_task(connection.ask(record, data))
            await asyncio.wait([task], timeout=0.3)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            record.update(end="left", t1=now())
        else:
            await connection.ask(record, data)
        connection.close()


class Lag:
    """How late this loop wakes: [(when, seconds)], those that a busy machine makes of 10 ms."""

    def __init__(self):
        self.late = []

    async def watch(self):
        while True:
            before = now()
            await asyncio.sleep(0.01)
            late = now() - before - 0.01
            if late > 0.01:
                self.late.append((before, round(late, 4)))
