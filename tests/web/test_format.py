"""Numbers, money, durations and times: format.js in the browser's own Intl."""
import pytest

CASES = {
    "compact(840)": "840", "compact(1234)": "1.2k", "compact(310000)": "310k", "compact(1234567)": "1.2M", "compact(0)": "0",
    "compact(null)": "–", "compact(999999)": "1M", "num(1234)": "1,234", "num(null)": "–",
    "money(12.34)": "$12.34", "money(0.0123)": "$0.0123", "money(0.000546)": "$0.000546", "money(0.123456)": "$0.1235",
    "money(1234.5)": "$1,234.50", "money(null)": "–", "money(0)": "$0.00", "money(0.99999)": "$1.00", "money(0.5)": "$0.50",
    "pct(0.998)": "99.8%", "pct(1)": "100%", "pct(0.99999)": "99.9%", "pct(0)": "0%", "pct(0.0001)": "<0.1%", "pct(null)": "–",
    "dur(850)": "850 ms", "dur(12400)": "12.4 s", "dur(0.507)": "0.5 ms", "dur(999.6)": "1.0 s", "dur(125000)": "2 min 5 s",
    "dur(null)": "–", "span(39000)": "39 s", "span(11520000)": "3 h 12 min", "span(1051200000)": "12 d 4 h", "left(0.4)": "1 s",
    "bytes(640)": "640 B", "bytes(1536)": "1.5 KiB", "bytes(402653184)": "384 MiB",
    "address('https://user:secret@relay.example:8443/v1?key=abc#x')": "relay.example:8443/v1",
    "address('user:secret@relay.example/v1?key=abc')": "relay.example/v1",
    "cacheShare({input: 10, output: 5, cache_read: 80, write_5m: 5, write_1h: 5})": 0.8,
    "cacheShare({input: 10, cache_read: null})": None, "utc('2026-11-30T14:03:21.112Z')": "2026-11-30 14:03:21.112 UTC",
}


@pytest.fixture(scope="module")
def formats(browser):
    from fake_api import FakeApi
    api = FakeApi()
    pages = {}

    def evaluate(expression, zone="UTC", lang="en"):
        p = pages.get(zone)
        if not p:
            p = pages[zone] = browser.page(zone=zone)
            p.go(api.url)
            p.until("document.querySelector('main h1')")
        return p.js("import('./ui/app.js').then(({ $format: f }) => { f.setLocale(%r, {s: 's', min: 'min', h: 'h', d: 'd'}); return f.%s })" % (lang, expression))

    yield evaluate
    for p in pages.values():
        p.close()
    api.close()


@pytest.mark.parametrize("expression", CASES)
def test_a_value_as_people_read_it(formats, expression):
    assert formats(expression) == CASES[expression]


def test_chinese_counts_in_ten_thousands(formats):
    assert formats("compact(1234567)", lang="zh") == "123.5万"
    assert formats("num(1234567)", lang="zh") == "1,234,567"


# Zones with changes: the Unix seconds are those of the time zone database.
@pytest.mark.parametrize("zone,since,until,text", [
    ("Asia/Shanghai", 1774000000, 1775000000, "480"),
    ("Asia/Kolkata", 1774000000, 1775000000, "330"),
    ("Asia/Kathmandu", 1774000000, 1775000000, "345"),
    ("America/New_York", 1772900000, 1773000000, "-300,1772953200:-240"),   # 2026-03-08 07:00 UTC
    ("America/New_York", 1793400000, 1793600000, "-240,1793512800:-300"),   # 2026-11-01 06:00 UTC
    ("America/New_York", 1772000000, 1794000000, "-300,1772953200:-240,1793512800:-300"),
    ("Europe/Berlin", 1774700000, 1774800000, "60,1774746000:120"),
])
def test_a_zone_is_told_with_its_changes(formats, zone, since, until, text):
    assert formats("zone(%d, %d)" % (since, until), zone) == text


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York"])
def test_a_day_begins_at_local_midnight(formats, zone):
    """The last tenth of a second of a day and the first of the next are of two days, also where the clock changes."""
    for y, m, d in ((2026, 2, 8), (2026, 10, 1), (2026, 11, 30)):
        before = formats("dayStart(new Date(%d, %d, %d, 23, 59, 59, 900))" % (y, m, d), zone)
        after = formats("dayStart(new Date(%d, %d, %d, 0, 0, 0, 100))" % (y, m, d + 1), zone)
        midnight = formats("dayStart(new Date(%d, %d, %d, 12))" % (y, m, d), zone)
        assert before == midnight
        assert after - before in (82800, 86400, 90000)
        assert after % 900 == 0
