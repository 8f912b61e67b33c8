"""Cells and marks on the pages of endpoints: what is held back, for how long, and how it is reset."""
from test_pages import open_page, posts, text


def test_cells_and_marks_are_reset_one_by_one(api, page):
    held = api.overview["endpoints"][0]

    def without(key, name):
        held[key] = [x for x in held[key] if name not in (x.get("family"), x.get("name"))]
        return dict(held)

    api.reply["POST endpoints/official/reset?family=sonnet"] = lambda _: without("cells", "sonnet")
    api.reply["POST endpoints/official/reset?mark=beta%3Dcontext-1m-2025-08-07"] = lambda _: without("marks", "beta=context-1m-2025-08-07")
    p = open_page(page, api, "endpoints/official")
    rows = "[...document.querySelectorAll('[aria-label=\"Cells and marks\"] tbody tr')].map((r) => [...r.children].map((c) => c.textContent.trim()))"
    assert p.js(rows) == [["cell", "opus", "◐degraded", "39 s", "Reset"], ["cell", "sonnet", "✕circuit open", "42 s", "Reset"],
                          ["cell", "other", "✕circuit open", "half_open", "Reset"],
                          ["beta", "beta=context-1m-2025-08-07", "", "59 min", "Reset"]]
    p.click("[aria-label='Cells and marks'] tbody tr:nth-child(2) button")
    p.until("document.querySelector('dialog[open]')")
    assert "Reset official: sonnet?" in text(p, "dialog") and "Ends any disabling" not in text(p, "dialog")
    p.click("dialog[open] button.primary")
    p.until("document.querySelector('.toast')?.textContent.includes('official: sonnet was reset')")
    p.until("document.querySelectorAll('[aria-label=\"Cells and marks\"] tbody tr').length == 3")
    p.click("[aria-label='Cells and marks'] tbody tr:nth-child(3) button")
    p.click("dialog[open] button.primary")
    p.until("document.querySelectorAll('[aria-label=\"Cells and marks\"] tbody tr').length == 2")
    assert posts(api) == ["endpoints/official/reset?family=sonnet", "endpoints/official/reset?mark=beta%3Dcontext-1m-2025-08-07"]


def test_cells_and_marks_in_the_table(api, page):
    p = open_page(page, api, "endpoints")
    assert p.js("[...document.querySelectorAll('tbody .c-state, tbody td:nth-child(3)')][0].textContent.trim()").endswith("opus, sonnet, other, ⚑1")
    api.overview["endpoints"][0].update(cells=[], marks=[])
    p.until("!document.querySelector('[data-f=\"endpoints.0.cells.0.family\"]')")
