import unittest
from datetime import date, datetime

from cadence import Calendar, DuplicateEvent, Event, UnknownEvent, parse_rule


class CalendarTest(unittest.TestCase):
    def setUp(self):
        self.calendar = Calendar(
            [
                Event("Standup", datetime(2024, 3, 4, 9, 30), parse_rule("every 2 days")),
                Event.on("Holiday", date(2024, 3, 8)),
            ]
        )

    def test_between_is_half_open(self):
        found = self.calendar.between(datetime(2024, 3, 4, 9, 30), datetime(2024, 3, 8, 9, 30))
        self.assertEqual(
            [str(o) for o in found],
            [
                "2024-03-04 09:30  Standup",
                "2024-03-06 09:30  Standup",
                "2024-03-08        Holiday",
            ],
        )

    def test_next_after(self):
        found = self.calendar.next_after(datetime(2024, 3, 7))
        self.assertEqual(str(found), "2024-03-08        Holiday")

    def test_next_of_one_event(self):
        found = self.calendar.next_after(datetime(2024, 3, 7), "Standup")
        self.assertEqual(found.moment, datetime(2024, 3, 8, 9, 30))

    def test_next_of_past_event(self):
        self.assertIsNone(self.calendar.next_after(datetime(2024, 3, 9), "Holiday"))

    def test_names_are_unique(self):
        with self.assertRaises(DuplicateEvent):
            self.calendar.add(Event.on("Holiday", date(2024, 5, 1)))

    def test_unknown_name(self):
        with self.assertRaises(UnknownEvent):
            self.calendar.remove("Lunch")

    def test_prune(self):
        course = Event.on("Course", date(2024, 3, 1), parse_rule("every day until 2024-03-05"))
        self.calendar.add(course)
        self.assertEqual(self.calendar.prune(datetime(2024, 3, 4)), [])
        self.assertEqual(self.calendar.prune(datetime(2024, 3, 6)), ["Course"])
        self.assertEqual(len(self.calendar), 2)
