#!/usr/bin/python3
"""The sixteen kinds of faults that a failover gateway is judged by, each in two dialects, at default settings and without
resetting QCC in between.

    faults.py [--build DIR] [--only KIND]...

One endpoint has the fault, for streams and for JSON; another, of lower priority, is well. Prints a Markdown table: of each
kind the worst that a client saw, the time that was added to its answer, and the calls that were billed beyond the one that
it got. pass: a whole answer, none the wiser; of a prompt that is too long the refusal as it came. safe: an error that clients know as one. fail: half an answer taken for a whole
one, or none at all. Goal: no fail, at most two safe in each dialect. Exit status 1 when it is missed.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

PATIENCE = 330  # a client gives up then, as Claude Code does
OUTAGE_S = 60
SLOW_S = 20
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Anthropic:
    name, path = "Anthropic", "/v1/messages"
    error_head = b"event: error\n"
    events = [b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode()) for kind, more in (
        ("message_start", {"message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "CODE"}}),
        ("content_block_stop", {"index": 0}), ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}), ("message_stop", {}))]
    content, last = 3, b"message_stop"  # so many events until text has come; the last event
    answer = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "CODE"}],
                         "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 2}}).encode()

    @staticmethod
    def error(kind, message):
        return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()

    too_long = ("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")


class OpenAI:
    name, path = "OpenAI", "/v1/chat/completions"
    error_head = b""
    events = [b"data: %s\n\n" % json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode() for choice in (
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}, {"index": 0, "delta": {"content": "CODE"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"})] + [b"data: [DONE]\n\n"]
    content, last = 2, b"[DONE]"
    answer = json.dumps({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "CODE"}, "finish_reason": "stop"}],
                         "usage": {"prompt_tokens": 9, "completion_tokens": 2}}).encode()

    @staticmethod
    def error(kind, message):
        return json.dumps({"error": {"type": kind, "message": message, "code": kind}}).encode()

    too_long = ("context_length_exceeded", "This model's maximum context length is 128000 tokens")


def plain(status, body, *lines):
    head = "HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, len(body))
    return (head + "".join(line + "\r\n" for line in lines) + "\r\n").encode() + body


def served(d, stream):
    if not stream:
        return plain(200, d.answer)
    return HEAD % b"text/event-stream" + b"".join(map(chunk, d.events)) + LAST


def silent(data):
    return lambda d, stream, peer: (peer.send(data(d, stream)), peer.wait_hangup(PATIENCE))


def part(d, stream, n):
    """The reply up to n events, or a part of its JSON."""
    if stream:
        return HEAD % b"text/event-stream" + b"".join(map(chunk, d.events[:n]))
    return HEAD % b"application/json" + chunk(d.answer[:20])


def then(data, end):
    return lambda d, stream, peer: (peer.send(data(d, stream)), getattr(peer, end)())


def says(data):
    return lambda d, stream, peer: peer.send(data(d, stream))


def first_error(d, stream):
    if not stream:
        return plain(200, d.error("overloaded_error", "Overloaded"))
    return HEAD % b"text/event-stream" + chunk(d.error_head + b"data: " + d.error("overloaded_error", "Overloaded") + b"\n\n") + LAST


KINDS = {
    "refused": None,
    "reset before the head": then(lambda d, s: b"", "reset"),
    "reset in the head": then(lambda d, s: b"HTTP/1.1 200 OK\r\ncontent-ty", "reset"),
    "reset after the head": then(lambda d, s: part(d, s, 0), "reset"),
    "429 with a wait": says(lambda d, s: plain(429, d.error("rate_limit_error", "slow down"), "retry-after: 2")),
    "429 without a wait": says(lambda d, s: plain(429, d.error("rate_limit_error", "slow down"))),
    "500": says(lambda d, s: plain(500, d.error("api_error", "internal"))),
    "503": says(lambda d, s: plain(503, d.error("api_error", "unavailable"))),
    "529": says(lambda d, s: plain(529, d.error("overloaded_error", "Overloaded"))),
    "an error inside a 200": says(lambda d, s: plain(200, d.error("api_error", "in a 200"))),
    "an error as first event": says(first_error),
    "silence before the head": silent(lambda d, s: b""),
    "silence after the head": silent(lambda d, s: part(d, s, 0)),
    "a stall in the stream": silent(lambda d, s: part(d, s, d.content)),
    "a cut stream": then(lambda d, s: part(d, s, d.content), "close"),
    "a stream without its stop event": says(lambda d, s: HEAD % b"text/event-stream" + b"".join(map(chunk, d.events[:-1])) + LAST if s else served(d, s)),
    "a context too long": says(lambda d, s: plain(400, d.error(*d.too_long))),
    "an outage of 60 s, with recovery": None,
    "a slow start": lambda d, stream, peer: (time.sleep(SLOW_S), peer.send(served(d, stream))),
}
# Of the sixteen, some are counted together: 500, 503 and 529; the resets.
JSON_TOO = set(KINDS) - {"silence before the head", "silence after the head", "a stall in the stream"}


class House:
    """A QCC at default settings before two endpoints of one dialect."""

    def __init__(self, dialect, folder):
        from qcc import Qcc
        from upstream import Raw

        self.d, self.fault, self.lock = dialect, None, threading.Lock()
        self.billed = 0
        self.bad, self.good = Raw(self.play_bad), Raw(lambda peer, r: self.play_good(peer, r))
        self.q = Qcc(folder, {"workers": None, "log": None, "endpoints": [
            self.bad.endpoint("bad", priority=1), self.good.endpoint("good", priority=2)], "balance": {"strategy": "priority_failover"}})
        self.q.start()

    def play_good(self, peer, request):
        if request.method == "HEAD":
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        body = request.json() if request.body else {}
        text = json.dumps(body.get("messages", ""))
        with self.lock:
            self.billed += "nothing else: " not in text  # not a verification
        if "nothing else: " in text:  # which is to be answered with its code
            code = text.split("nothing else: ")[1][:6]
            peer.send(plain(200, Anthropic.answer.replace(b"CODE", code.encode())))
        else:
            peer.send(served(self.d, body.get("stream", False)))

    def play_bad(self, peer, request):
        fault = self.fault
        if not fault or request.method == "HEAD":
            self.play_good(peer, request)
            return
        stream = bool(request.body and request.json().get("stream"))
        fault(self.d, stream, peer)

    def ask(self, stream):
        """(verdict, seconds, who)"""
        import http.client

        began = time.monotonic()
        c = http.client.HTTPConnection("127.0.0.1", self.q.port, timeout=PATIENCE)
        body = json.dumps({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
        try:
            c.request("POST", self.d.path, body, {"content-type": "application/json"})
            r = c.getresponse()
            text, status, who = r.read(), r.status, r.getheader("x-qcc-endpoint")
        except http.client.IncompleteRead:
            return "safe", time.monotonic() - began, None  # a JSON reply that is cut so that the client can tell
        except OSError:
            return "fail", time.monotonic() - began, None
        finally:
            c.close()
        took = time.monotonic() - began
        if status == 400 and text == self.d.error(*self.d.too_long):
            return "pass", took, who  # the client's own fault: as it came, at once
        if status >= 400:
            return "safe", took, who
        if stream:
            whole = b"CODE" in text and self.d.last in text.rstrip().split(b"\n\n")[-1]
            told = b'"error"' in text.split(b"\n\n")[-2] if b"\n\n" in text else False
        else:
            whole, told = text == self.d.answer, False
        return ("pass" if whole else "safe" if told else "fail"), took, who

    def wait_well(self):
        """Until the endpoint with the faults serves again, as it does at default settings by itself."""
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            _, _, who = self.ask(False)
            if who == "bad":
                return True
            time.sleep(1)
        return False

    def measure(self, kind):
        rank = ["pass", "safe", "fail"]
        worst, added, who, asked = "pass", 0.0, None, 0
        if not self.wait_well():
            return "fail", 0.0, 0, "it did not come back"
        with self.lock:
            self.billed = 0
        down = kind in ("refused", "an outage of 60 s, with recovery")
        self.fault = KINDS[kind]
        if down:
            self.bad.close()
        ends = time.monotonic() + (OUTAGE_S if "outage" in kind else 0)
        while asked < 2 or time.monotonic() < ends:
            for stream in (True, False):
                if stream or kind in JSON_TOO:
                    verdict, took, who = self.ask(stream)
                    worst = max(worst, verdict, key=rank.index)
                    added = max(added, took)
                asked += 1
            if down and time.monotonic() < ends:
                time.sleep(1)
        self.fault = None
        if down:
            self.bad = type(self.bad)(self.play_bad, port=self.bad.port)
        answered = asked if kind in JSON_TOO else asked / 2
        return worst, added, max(0, self.billed - answered), ""

    def close(self):
        self.q.close()
        self.bad.close()
        self.good.close()


def run(dialect, kinds, rows):
    with tempfile.TemporaryDirectory(prefix="qcc-faults-") as folder:
        house = House(dialect, folder)
        try:
            for kind in kinds:
                rows.append((kind, dialect.name, *house.measure(kind)))
        finally:
            house.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=str(HERE.parents[1] / "build/release"))
    p.add_argument("--only", action="append", choices=list(KINDS))
    a = p.parse_args()
    os.environ["QCC_BUILD"] = a.build
    rows = {d: [] for d in (Anthropic, OpenAI)}
    threads = [threading.Thread(target=run, args=(d, a.only or list(KINDS), rows[d])) for d in rows]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("| fault | dialect | verdict | added | billed beyond | |\n|---|---|---|---|---|---|")
    bad = 0
    for d, found in rows.items():
        for kind, name, verdict, added, billed, note in found:
            print("| %s | %s | %s | %.2f s | %d | %s |" % (kind, name, verdict, added, billed, note))
        count = {v: sum(r[2] == v for r in found) for v in ("pass", "safe", "fail")}
        print("\n%s: %d pass, %d safe, %d fail\n" % (d.name, count["pass"], count["safe"], count["fail"]))
        bad |= count["fail"] > 0 or count["safe"] > 2 or len(found) < len(a.only or KINDS)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
