"""An endpoint that has not a path comes last for it: the form of the path is marked (scope.md, section 5)."""
import json

import pytest

from qcc import until
from test_side_paths import LACKING, LIST, MARKING, REPEATABLE, ask, count, headless, house, send, well  # noqa: F401


def marks(q):
    """{endpoint: names of its marks}"""
    return {e["name"]: [m["name"] for m in e["marks"]] for e in json.loads(q.get("/api/v1/endpoints", port=q.admin_port)[1])["endpoints"]}


@pytest.mark.parametrize("name,kind", [(n, k) for n in MARKING for k in REPEATABLE if (n, k) != ("page", "HEAD")])
def test_who_has_not_the_path_comes_last_for_it(house, name, kind):
    q, a, b = house(a=LACKING[name], b=LIST)
    if kind == "HEAD":
        a.side, b.side = headless(a.side), headless(b.side)
    for i in range(3):
        r = send(q, *REPEATABLE[kind])
        assert r.status == 200 and r.header("x-qcc-endpoint") == "b" and r.header("x-qcc-attempts") == ("1" if i else "2")
        assert (a.n, b.n) == (1, i + 1)
    assert marks(q) == {"a": [REPEATABLE[kind][1]], "b": []}
    well(q, a, b)


def test_another_id_is_the_same_form(house):
    q, a, b = house(a=LACKING["405"], b=LIST)
    for i in range(3):
        assert send(q, path="/v1/skills/skill_%d/content" % i).header("x-qcc-endpoint") == "b" and (a.n, b.n) == (1, i + 1)
    assert marks(q)["a"] == ["/v1/skills/*/content"]
    assert send(q, path="/v1/skills/skill_1").header("x-qcc-endpoint") == "b" and a.n == 2, "another form"


def test_an_id_that_is_not_there_marks_nothing(house):
    q, a, b = house(a=LACKING["404"], b=LIST)
    assert send(q, path="/v1/skills/skill_1").status == 404 and (a.n, b.n) == (1, 0)
    assert marks(q) == {"a": [], "b": []}


def test_a_marked_path_of_a_request_that_is_sent_once(house):
    """The reply goes back as it came, and the next such request begins elsewhere."""
    q, a, b = house(a=LACKING["404"], b=LIST)
    r = send(q, "POST", "/v1/files")
    assert r.status == 404 and r.header("x-qcc-endpoint") == "a" and (a.n, b.n) == (1, 0)
    r = send(q, "POST", "/v1/files")
    assert r.status == 200 and r.header("x-qcc-endpoint") == "b" and (a.n, b.n) == (1, 1)


def test_where_all_are_marked_they_are_asked_and_a_success_ends_it(house):
    q, a, b = house(a=LACKING["404"], b=LACKING["405"])
    for _ in range(2):
        assert send(q).status == 404
    assert (a.n, b.n) == (2, 2) and marks(q) == {"a": ["/v1/models"], "b": ["/v1/models"]}
    a.side = LIST
    assert send(q).header("x-qcc-endpoint") == "a"
    until(lambda: marks(q) == {"a": [], "b": ["/v1/models"]}, "the mark is ended by a success")


def test_a_path_says_nothing_of_messages_and_a_message_nothing_of_paths(house):
    q, a, b = house(a=LACKING["404"], b=LIST)
    send(q)
    assert ask(q).header("x-qcc-endpoint") == "a" and marks(q)["a"] == ["/v1/models"]
    assert count(q).status in (200, 404) and "/v1/messages/count_tokens" not in marks(q)["a"]


def test_paths_without_end_are_bounded(house):
    """64 forms an endpoint; of further ones nothing is remembered."""
    q, a, b = house(a=LACKING["404"], b=LIST)
    for i in range(70):
        path = "/v1/" + "".join(chr(97 + int(d)) for d in "%03d" % i)
        assert send(q, path=path).header("x-qcc-endpoint") == "b"
    assert len(marks(q)["a"]) == 64 and a.n == 70
    assert send(q, path="/v1/aaa").header("x-qcc-endpoint") == "b" and a.n == 70
    assert send(q, path="/v1/agj").header("x-qcc-endpoint") == "b" and a.n == 71
    well(q, a, b)
