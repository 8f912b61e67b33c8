"""shoot.py [URL]: screenshots of pages in both schemes and languages, for looking at; into build/web/."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cdp  # noqa: E402
from fake_api import FakeApi, ROOT  # noqa: E402
import told  # noqa: E402

WAYS = [(320, "light", "en-US"), (768, "dark", "zh-CN"), (1280, "light", "en-US"), (1280, "dark", "en-US"), (1280, "light", "zh-CN"), (1920, "dark", "en-US")]


def main(pages, url):
    out = ROOT / "build/web"
    out.mkdir(parents=True, exist_ok=True)
    with cdp.Browser() as b:
        for fragment in pages:
            for width, scheme, lang in WAYS:
                p = b.page(width, 800 if width > 400 else 568, scheme=scheme, lang=lang, zone="Asia/Shanghai")
                p.go(url + "#/" + fragment)
                try:
                    p.until("document.querySelector('main h1') && !document.querySelector('.skeleton')", 10)
                except AssertionError as e:
                    print(str(e)[:1500])
                    return
                p.wait(0.4)
                name = "%s-%d-%s-%s.png" % (re.sub(r"[^\w.-]+", "_", fragment) or "overview", width, scheme, lang[:2])
                p.screenshot(out / name)
                print(name, p.console[:2])
                p.close()


if __name__ == "__main__":
    urls = [a for a in sys.argv[1:] if a.startswith("http")]
    api = None if urls else FakeApi()
    trail = told.fill(api) if api else ""
    pages = [a for a in sys.argv[1:] if not a.startswith("http")] or ["", "endpoints", "endpoints/official"] + [
        p.replace("%s", trail) for p in told.PAGES if trail or "%s" not in p]
    main(["" if p == "overview" else p for p in pages], urls[0] if urls else api.url)
