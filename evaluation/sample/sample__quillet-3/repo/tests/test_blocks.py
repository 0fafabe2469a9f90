import unittest

from quillet import NestingError, parse, render
from quillet.nodes import Code, Paragraph, Quote


class BlocksTest(unittest.TestCase):
    def test_paragraphs(self):
        self.assertEqual(render("a\nb\n\nc"), "<p>a\nb</p>\n<p>c</p>\n")

    def test_many_blank_lines_between_paragraphs(self):
        self.assertEqual(render("a\n\n\n\n\nb\r\n\r\n \r\n\r\nc"), "<p>a</p>\n<p>b</p>\n<p>c</p>\n")

    def test_headings(self):
        self.assertEqual(
            render("# A *b*\n### C ###\n"),
            '<h1 id="a-b">A <em>b</em></h1>\n<h3 id="c">C</h3>\n',
        )

    def test_repeated_headings_have_different_anchors(self):
        html = render("# Usage\n## Usage\n> # Usage\n")
        for anchor in ("usage", "usage-2", "usage-3"):
            self.assertIn('id="{}"'.format(anchor), html)

    def test_rule_is_not_a_list(self):
        self.assertEqual(render("* * *"), "<hr>\n")

    def test_lists(self):
        self.assertEqual(
            render("- a\n  b\n- c\n1. d\n"),
            "<ul>\n<li>a\nb</li>\n<li>c</li>\n</ul>\n<ol>\n<li>d</li>\n</ol>\n",
        )

    def test_quotation_holds_blocks(self):
        quote = parse("> a\n>\n> ```\n> b\n> ```\n").children[0]
        self.assertEqual(quote, Quote([Paragraph("a"), Code("b\n")]))

    def test_nesting_is_limited(self):
        with self.assertRaises(NestingError):
            parse(">" * 50 + " a")


class CodeTest(unittest.TestCase):
    def code(self, source):
        blocks = parse(source).children
        self.assertEqual([type(block) for block in blocks], [Code])
        return blocks[0]

    def test_language(self):
        self.assertEqual(self.code("```py\nx = 1\n```"), Code("x = 1\n", "py"))

    def test_tildes(self):
        self.assertEqual(self.code("~~~\n```\n~~~").text, "```\n")

    def test_longer_fence(self):
        self.assertEqual(self.code("````\n```\n````").text, "```\n")

    def test_unclosed(self):
        self.assertEqual(self.code("```\na\n\nb").text, "a\n\nb\n")

    def test_indentation_and_tabs_are_kept(self):
        self.assertEqual(self.code("```\n\tif x:\n\t    y\n```").text, "\tif x:\n\t    y\n")

    def test_windows_line_ends(self):
        self.assertEqual(self.code("```\r\na\r\n\r\nb\r\n```\r\n").text, "a\n\nb\n")

    def test_markup_is_not_looked_at(self):
        self.assertEqual(
            render("```\n# *a* <b>\n```"), "<pre><code># *a* &lt;b&gt;\n</code></pre>\n"
        )
