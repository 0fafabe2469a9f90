import unittest
from datetime import date, datetime
from itertools import islice

from cadence import Event, expand, parse_rule


def days(event, limit=10):
    return [o.moment.strftime("%m-%d") for o in islice(expand(event), limit)]


class ExpandTest(unittest.TestCase):
    def test_once(self):
        self.assertEqual(days(Event("x", datetime(2024, 3, 4, 9, 30))), ["03-04"])

    def test_every_other_day(self):
        event = Event("x", datetime(2024, 2, 27, 9, 30), parse_rule("every 2 days"))
        self.assertEqual(days(event, 3), ["02-27", "02-29", "03-02"])

    def test_weekdays_begin_with_the_start(self):
        event = Event("x", datetime(2024, 3, 6, 9, 30), parse_rule("every week on mon, wed"))
        self.assertEqual(days(event, 4), ["03-06", "03-11", "03-13", "03-18"])

    def test_short_months(self):
        event = Event.on("Rent", date(2024, 1, 31), parse_rule("every month"))
        self.assertEqual(days(event, 4), ["01-31", "02-29", "03-31", "04-30"])

    def test_leap_day(self):
        event = Event.on("Birthday", date(2024, 2, 29), parse_rule("every year"))
        self.assertEqual(days(event, 2), ["02-29", "02-28"])

    def test_count_includes_skipped_days(self):
        event = Event.on("x", date(2024, 3, 4), parse_rule("every day 4 times"))
        event.skip(date(2024, 3, 5))
        self.assertEqual(days(event), ["03-04", "03-06", "03-07"])

    def test_until_between_occurrences(self):
        event = Event("x", datetime(2024, 3, 4, 9, 30), parse_rule("every week until 2024-03-20"))
        self.assertEqual(days(event), ["03-04", "03-11", "03-18"])

    def test_until_of_all_day_event(self):
        event = Event.on("x", date(2024, 3, 4), parse_rule("every day until 2024-03-06"))
        self.assertEqual(days(event), ["03-04", "03-05", "03-06"])
