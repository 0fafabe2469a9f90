"""From the document tree to HTML."""

from html import escape

from .nodes import Code, Document, Heading, ListBlock, Paragraph, Quote, Rule
from .text import inline_html


def to_html(node):
    """HTML of a node and what is below it; ends with a newline unless empty."""
    return _WRITERS[type(node)](node)


def _children(node):
    return "".join(to_html(child) for child in node.children)


def _heading(node):
    return '<h{0} id="{1}">{2}</h{0}>\n'.format(
        node.level, escape(node.anchor, quote=True), inline_html(node.text)
    )


def _paragraph(node):
    return "<p>{}</p>\n".format(inline_html(node.text))


def _code(node):
    attribute = ""
    if node.language:
        attribute = ' class="language-{}"'.format(escape(node.language, quote=True))
    return "<pre><code{}>{}</code></pre>\n".format(attribute, escape(node.text, quote=False))


def _quote(node):
    return "<blockquote>\n{}</blockquote>\n".format(_children(node))


def _list(node):
    tag = "ol" if node.ordered else "ul"
    items = "".join("<li>{}</li>\n".format(inline_html(item)) for item in node.items)
    return "<{0}>\n{1}</{0}>\n".format(tag, items)


def _rule(node):
    return "<hr>\n"


_WRITERS = {
    Document: _children,
    Heading: _heading,
    Paragraph: _paragraph,
    Code: _code,
    Quote: _quote,
    ListBlock: _list,
    Rule: _rule,
}
