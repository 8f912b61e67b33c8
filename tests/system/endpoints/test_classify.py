"""qcc-worker --classify over the labelled replies of tests/data/errors.jsonl, with floors."""
import collections
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests/data/errors.jsonl"
WORKER = ROOT / os.environ.get("QCC_BUILD", "build/san") / "qcc-worker"

CLASS_FLOOR = 0.97
FAULT_FLOOR = 0.95
WAIT_FLOOR = 0.97


def classify(lines):
    done = subprocess.run([WORKER, "--classify"], input="\n".join(lines) + "\n", text=True, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def judged():
    """[(labelled reply, what the worker made of it)]"""
    replies = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines() if line.strip()]
    status, verdicts, words = classify(json.dumps(r, ensure_ascii=False) for r in replies)
    assert status == 0, words
    assert [v["id"] for v in verdicts] == [r["id"] for r in replies]
    return list(zip(replies, verdicts))


def same_wait(want, got):
    """Within a second or 2 %."""
    if want is None or got is None:
        return want is got
    return abs(want - got) <= max(1.0, 0.02 * abs(want))


def show(wrong):
    return "\n" + "\n".join("%s: want %s/%s/%s, got %s/%s/%s by %s" % (
        r["id"], r["class"], r["fault"], r["retry_after_s"], v["class"], v["fault"], v["retry_after_s"], v["rule"])
        for r, v in wrong)


def test_class(judged):
    wrong = [(r, v) for r, v in judged if r["class"] != v["class"]]
    right = collections.Counter(r["class"] for r, v in judged if r["class"] == v["class"])
    total = collections.Counter(r["class"] for r, _ in judged)
    print("class: %d of %d;" % (len(judged) - len(wrong), len(judged)),
          ", ".join("%s %d of %d" % (c, right[c], n) for c, n in sorted(total.items())))
    lenient = [(r, v) for r, v in wrong if v["class"] not in r["class_also_ok"]]
    assert 1 - len(wrong) / len(judged) >= CLASS_FLOOR, show(wrong)
    assert 1 - len(lenient) / len(judged) >= 0.99, show(lenient)


def test_fault(judged):
    wrong = [(r, v) for r, v in judged if r["fault"] != v["fault"]]
    print("fault: %d of %d" % (len(judged) - len(wrong), len(judged)))
    assert 1 - len(wrong) / len(judged) >= FAULT_FLOOR, show(wrong)


def test_wait(judged):
    wrong = [(r, v) for r, v in judged
             if not any(same_wait(w, v["retry_after_s"]) for w in [r["retry_after_s"]] + r["retry_after_also_ok"])]
    print("retry after: %d of %d" % (len(judged) - len(wrong), len(judged)))
    assert 1 - len(wrong) / len(judged) >= WAIT_FLOOR, show(wrong)


def test_no_request_charges_an_endpoint(judged):
    """A permanent refusal that is not the endpoint's goes to a second opinion or back; all else charges."""
    charged = [(r, v) for r, v in judged
               if r["fault"] == "request" and (v["class"] != "permanent" or v["fault"] == "endpoint")]
    assert not charged, show(charged)


def test_no_endpoint_is_disabled_without_cause(judged):
    lost = [(r, v) for r, v in judged
            if v["class"] == "auth" and "auth" not in [r["class"]] + r["class_also_ok"]]
    assert not lost, show(lost)


def test_scope(judged):
    """What needs no reading of words: each verdict says what it concerns."""
    wrong = [(r, v) for r, v in judged
             if v["scope"] not in ("request", "conversation", "feature", "name", "model", "endpoint")
             or (v["class"] == "auth" and v["scope"] != "endpoint")
             or (v["class"] != "permanent" and v["scope"] in ("conversation", "feature", "name"))
             or (r["kind"] == "sse_error" and v["class"] in ("transient", "unknown") and v["scope"] != "model")]
    assert not wrong, [(r["id"], v) for r, v in wrong]


def test_the_model_asked_for_is_looked_for():
    body = '{"error":{"message":"your account is limited: k2-thinking","type":"rate_limit_error"}}'
    line = {"kind": "http", "status": 429, "headers": {}, "body": body}
    lines = [json.dumps(dict(line, id=1, model="moonshot/k2-thinking")), json.dumps(dict(line, id=2)),
             json.dumps(dict(line, id=3, model=7))]
    status, verdicts, _ = classify(lines)
    assert status == 0
    assert [v["scope"] for v in verdicts] == ["model", "endpoint", "endpoint"]


def test_lines_that_cannot_be_read():
    status, verdicts, words = classify([
        '{"id":1,"kind":"http","status":429,"headers":{"retry-after":"7"},"body":""}', "{", "[]", "",
        '{"id":"b","kind":"curl","curl_code":"CURLE_GOT_NOTHING","body":"","status":null}', "{}"])
    assert status == 1
    assert [(v["id"], v["class"], v["fault"], v["retry_after_s"]) for v in verdicts] == [
        (1, "rate_limit", "endpoint", 7.0), ("b", "transient", "endpoint", None), (None, "unknown", "endpoint", None)]
    assert "line 2:" in words and "line 3:" in words


def test_a_line_without_end_is_refused():
    status, verdicts, words = classify(['{"id":1,"body":"' + "x" * (5 << 20) + '"}',
                                        '{"id":2,"kind":"http","status":503,"headers":{},"body":""}'])
    assert status == 1
    assert [v["id"] for v in verdicts] == [2]
    assert "line 1:" in words
