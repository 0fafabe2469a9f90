import unittest
from decimal import Decimal

from ledgerly import AmountError, format_amount, parse_amount


class ParseAmountTest(unittest.TestCase):
    def test_plain(self):
        self.assertEqual(parse_amount("12.5"), Decimal("12.50"))

    def test_negative_spellings(self):
        for text in ("-1200.00", "1,200.00-", "(1,200.00)", "-1.200,00", "\u22121200", "-EUR 1'200.00"):
            with self.subTest(text):
                self.assertEqual(parse_amount(text), Decimal("-1200.00"))

    def test_comma_alone(self):
        self.assertEqual(parse_amount("1,200"), Decimal("1200.00"))
        self.assertEqual(parse_amount("1,20"), Decimal("1.20"))

    def test_nonsense(self):
        for text in ("", "abc", "1.2.x", "NaN", "inf"):
            with self.subTest(text):
                with self.assertRaises(AmountError):
                    parse_amount(text)


class FormatAmountTest(unittest.TestCase):
    def test_two_places(self):
        self.assertEqual(format_amount(Decimal("-3.1")), "-3.10")
