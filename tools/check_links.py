"""Check the pages of a folder: links and anchors lead somewhere, pictures have alt texts, nothing loads from elsewhere.

python tools/check_links.py build/site     # exit status 1 and one line for each problem
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lxml import html

LOADED = ("//img/@src", "//script/@src", "//link[@rel='stylesheet']/@href", "//video/@src", "//source/@src")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or "every link leads somewhere")
    return 1 if found else 0


def problems(folder: Path) -> list[str]:
    """One line for each thing that is wrong, sorted by page.

    Raises FileNotFoundError for a folder without pages.
    """
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        raise FileNotFoundError(f"no pages in {folder}")
    return [f"{page.relative_to(folder)}: {text}" for page in pages for text in _of_page(page)]


def _of_page(page: Path) -> list[str]:
    tree = _read(page)
    links = {link: f"the link {link!r} leads nowhere" for link in tree.xpath("//a/@href")}
    loaded = {link: f"{link!r} is missing" for path in LOADED for link in tree.xpath(path)}
    found = [text for link, text in (links | loaded).items() if not _leads_somewhere(link, page)]
    found += [f"{link!r} is loaded from another host" for link in loaded if urlsplit(link).netloc]
    # for want of a text Sphinx writes the address
    silent = tree.xpath("//img[not(normalize-space(@alt)) or @alt = @src]/@src")
    return found + [f"no alt text: {link[:80]!r}" for link in silent]


def _leads_somewhere(link: str, page: Path) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:  # another host, or data in the page
        return True
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in _anchors(target)


@cache
def _anchors(page: Path) -> frozenset[str]:
    return frozenset(_read(page).xpath("//@id | //a/@name"))


@cache
def _read(page: Path) -> html.HtmlElement:
    return html.document_fromstring(page.read_bytes(), parser=html.HTMLParser(huge_tree=True, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
