"""The texts of both languages: loaded when they are needed, never seen as their keys."""
import pytest

from fake_api import ROOT
from told import PAGES, READY, fill, opened

KEY = r"""(() => { const keys = new Set(%s); return [...document.querySelectorAll('body *')].flatMap((e) =>
    [...[...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()), ...['title', 'aria-label', 'data-tip', 'placeholder'].map((a) => e.getAttribute(a))])
    .filter((s) => s && /\w\.\w/.test(s) && keys.has(s)) })()"""


def keys():
    import json
    import re
    return json.dumps(sorted({k for f in (ROOT / "worker/admin/dashboard/lang").glob("en*.js") for k in re.findall(r"'([^'\n]+)': ", f.read_text())}))


@pytest.mark.parametrize("lang", ["en-US", "zh-CN"])
def test_no_key_is_shown(api, page, lang):
    trail = fill(api)
    p = opened(page, api.url, "", lang=lang)
    assert p.js(KEY % keys()) == []
    for fragment in ["endpoints", "endpoints/official", *PAGES]:
        p.js("location.hash = %r" % ("#/" + fragment.replace("%s", trail)))
        p.until("document.querySelector('main').dataset.page == %r && !document.querySelector('.skeleton')" % fragment.replace("%s", trail).split("?")[0])
        p.until(READY)
        assert p.js(KEY % keys()) == [], fragment
    p.key("?", shift=True)
    p.until("document.querySelector('dialog[open]')")
    assert p.js(KEY % keys()) == []


def test_each_part_is_loaded_once_when_it_is_needed(api, page):
    fill(api)
    p = opened(page, api.url, "")
    names = lambda: sorted(r.url.split("/ui/")[1] for r in p.requests if "/ui/" in r.url)
    assert names() == ["app.css", "app.js", "en.js"]
    p.js("location.hash = '#/usage'")
    p.until("document.querySelector('main').dataset.page == 'usage' && document.querySelector('.chart')")
    assert names() == ["app.css", "app.js", "en-more.js", "en.js", "pages.js"]
    p.click("#lang")
    p.until("document.documentElement.lang == 'zh-CN' && document.querySelector('h1').textContent == '用量'")
    p.click("#lang")
    p.until("document.querySelector('h1').textContent == 'Usage'")
    p.js("location.hash = '#/events'")
    p.until("document.querySelector('main').dataset.page == 'events'")
    assert names() == ["app.css", "app.js", "en-more.js", "en.js", "pages.js", "zh-more.js", "zh.js"]


def test_a_language_is_switched_while_a_page_comes(api, page):
    """Whichever comes last: the page is whole and in the language that was chosen."""
    fill(api)
    for first in ("location.hash = '#/usage'; document.querySelector('#lang').click()", "document.querySelector('#lang').click(); location.hash = '#/usage'"):
        p = opened(page, api.url, "")
        p.js("(() => { %s })()" % first)
        p.until("document.documentElement.lang == 'zh-CN' && document.querySelector('h1').textContent == '用量' && document.querySelector('.chart')")
        p.until(READY)
        assert p.js(KEY % keys()) == []
