import unittest

from quillet.text import inline_html, plain_text, slug


class InlineTest(unittest.TestCase):
    def test_emphasis(self):
        self.assertEqual(
            inline_html("*a* **b *c* d**"), "<em>a</em> <strong>b <em>c</em> d</strong>"
        )

    def test_stars_that_are_not_emphasis(self):
        self.assertEqual(inline_html("2 * 3 * 4"), "2 * 3 * 4")

    def test_code_wins(self):
        self.assertEqual(inline_html("`*a* <b>` ``x`y``"), "<code>*a* &lt;b&gt;</code> <code>x`y</code>")

    def test_escapes(self):
        self.assertEqual(inline_html(r"\*a\* <i>"), "*a* &lt;i&gt;")

    def test_links(self):
        self.assertEqual(
            inline_html("[the *docs*](https://example.org/?a=1&b=2)"),
            '<a href="https://example.org/?a=1&amp;b=2">the <em>docs</em></a>',
        )

    def test_unsafe_links(self):
        self.assertEqual(inline_html("[x](javascript:alert)"), "x (javascript:alert)")

    def test_plain(self):
        self.assertEqual(plain_text("**a** [b](c) `d<`"), "a b d<")

    def test_slug(self):
        self.assertEqual(slug("What's new, in 2.0?"), "what-s-new-in-2-0")
