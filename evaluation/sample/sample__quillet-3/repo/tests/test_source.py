import unittest

from quillet.source import expand_tabs, normalise


class NormaliseTest(unittest.TestCase):
    def test_line_ends(self):
        self.assertEqual(normalise("a\r\nb\rc"), "a\nb\nc\n")

    def test_blanks_at_ends_of_lines(self):
        self.assertEqual(normalise("a  \n \t \nb\t\n"), "a\n\nb\n")

    def test_outer_blank_lines(self):
        self.assertEqual(normalise("\n\n\na\n\n\n"), "a\n")

    def test_byte_order_mark(self):
        self.assertEqual(normalise("\ufeff# a"), "# a\n")

    def test_empty(self):
        self.assertEqual(normalise("\n \n"), "")


class ExpandTabsTest(unittest.TestCase):
    def test_only_leading_tabs(self):
        self.assertEqual(expand_tabs(" \ta\tb"), "    a\tb")
