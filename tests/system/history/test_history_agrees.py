"""The history under more than one hand: what stays of a prune agrees in all tables, and questions whose askers have given
up are no work."""
import os
import signal
import threading
import time

from admin import call, get
from test_history import history, kept, rows  # noqa: F401
from test_history_ask import HOUR, now_ms, past  # noqa: F401


def test_what_stays_of_a_prune_agrees(past):  # noqa: F811
    """Rows, quarters and hours are of one time, of a client too; now, or later, takes all of them."""
    now = now_ms()
    q = past(lambda p: p.add(3000, now - 3 * HOUR, step_ms=5000, client="alice").add(300, now - HOUR, client="carol"))
    n = history(q)["requests"]

    def agree():
        left = [rows(q, "SELECT count(*) n FROM request")[0]["n"]]
        left += [rows(q, "SELECT ifnull(sum(requests), 0) n FROM usage_" + t)[0]["n"] for t in ("15", "60")]
        assert left[0] == left[1] == left[2]
        return left[0]

    one = agree()
    assert one == n
    q.ctl_json("history", "prune", "--before", str(now // 1000 - 5 * 3600 - 1234))
    two = agree()
    assert 300 < two < one
    said = q.ctl_json("history", "prune", "--before", str(now // 1000 - 4 * 3600), "--client", "alice")
    three = agree()
    assert three == two - said["requests"] and said["events"] == 0
    day = time.strftime("%Y-%m-%d", time.localtime(now / 1000 - 3 * 86400))
    assert q.ctl_json("history", "prune", "--before", day)["before"] < now / 1000 - 2 * 86400
    assert agree() == three
    said = q.ctl_json("history", "prune", "--before", "9999999999")
    assert said["before"] is None and said["requests"] == three and said["events"] > 0
    assert agree() == 0


def test_questions_that_were_given_up(past):  # noqa: F811
    """Nobody waits for them any more: they are not worked off before the next one."""
    q = past(lambda p: p.add(10, now_ms() - HOUR))
    pid = history(q)["pid"]
    get(q, "usage")
    answered = q.count("from recorder REC_ANSWER")
    os.kill(pid, signal.SIGSTOP)
    got = []
    threads = [threading.Thread(target=lambda: got.append(call(q, "GET", "/api/v1/usage").status)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.kill(pid, signal.SIGCONT)
    assert got == [503] * 8
    get(q, "usage")
    assert q.count("from recorder REC_ANSWER") == answered + 1
