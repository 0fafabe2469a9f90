import unittest
from datetime import date

from cadence import Rule, RuleError, parse_rule


class ParseRuleTest(unittest.TestCase):
    def test_simple(self):
        self.assertEqual(parse_rule("every day"), Rule("day"))
        self.assertEqual(parse_rule("Every 3  Months"), Rule("month", 3))

    def test_weekdays_are_sorted(self):
        self.assertEqual(parse_rule("every week on thursday, mon"), Rule("week", 1, (0, 3)))

    def test_ends(self):
        self.assertEqual(parse_rule("every day 5 times").count, 5)
        self.assertEqual(parse_rule("every day until 2024-06-30").until, date(2024, 6, 30))

    def test_round_trip(self):
        for text in (
            "every day",
            "every 2 weeks on mon, fri until 2024-06-30",
            "every year 4 times",
        ):
            self.assertEqual(str(parse_rule(text)), text)

    def test_errors(self):
        for text, reason in (
            ("weekly", "want 'every"),
            ("every 0 days", "at least 1"),
            ("every day 0 times", "0 times"),
            ("every day on mon", "needs weeks"),
            ("every week on mon, holiday", "'holiday' is not a day"),
            ("every day until tomorrow", "'tomorrow' is not a date"),
        ):
            with self.subTest(text):
                with self.assertRaisesRegex(RuleError, reason):
                    parse_rule(text)
