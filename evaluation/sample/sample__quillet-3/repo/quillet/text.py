"""Markup inside a line."""

import re
from html import escape

SAFE_SCHEMES = ("http", "https", "mailto")

_TOKEN = re.compile(
    r"""\\(?P<escaped>[\\`*\[\]()#>+._-])
      | (?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)
      | \*\*(?P<strong>\S(?:.*?\S)?)\*\*
      | \*(?P<em>[^\s*](?:[^*]*[^\s*])?)\*
      | \[(?P<label>[^\]]+)\]\((?P<url>[^)\s]+)\)""",
    re.VERBOSE | re.DOTALL,
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


def inline_html(text):
    """HTML of a line's markup."""
    return _walk(text, lambda name, inner: "<{0}>{1}</{0}>".format(name, inner), _link, escape)


def plain_text(text):
    """The text without its markup, not escaped."""
    return _walk(text, lambda name, inner: inner, lambda label, url: label, str)


def _walk(text, wrap, link, literal):
    out = []
    position = 0
    for found in _TOKEN.finditer(text):
        out.append(literal(text[position : found.start()]))
        position = found.end()
        if found["escaped"]:
            out.append(literal(found["escaped"]))
        elif found["code"]:
            out.append(wrap("code", literal(found["code"].strip())))
        elif found["label"]:
            out.append(link(_walk(found["label"], wrap, link, literal), found["url"]))
        else:
            name = "strong" if found["strong"] else "em"
            out.append(wrap(name, _walk(found[name], wrap, link, literal)))
    out.append(literal(text[position:]))
    return "".join(out)


def _link(label, url):
    scheme = _SCHEME.match(url)
    if scheme is not None and scheme[1].lower() not in SAFE_SCHEMES:
        return "{} ({})".format(label, escape(url))
    return '<a href="{}">{}</a>'.format(escape(url, quote=True), label)


def slug(text):
    """Lower-case words joined by hyphens, for anchors."""
    return "-".join(re.findall(r"\w+", text.lower()))
