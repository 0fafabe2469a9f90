import unittest
from datetime import date
from decimal import Decimal

from ledgerly import Entry, reconcile


def entry(day, amount, text="", line=0):
    year, month, number = (int(part) for part in day.split("-"))
    return Entry(date(year, month, number), Decimal(amount), text, line)


class ReconcileTest(unittest.TestCase):
    def test_same_day(self):
        result = reconcile([entry("2024-03-04", "-12.90")], [entry("2024-03-04", "-12.90")])
        self.assertTrue(result.clean)
        self.assertEqual(len(result.matches), 1)

    def test_bank_later_within_window(self):
        result = reconcile([entry("2024-03-07", "-20")], [entry("2024-03-04", "-20")], window=3)
        self.assertEqual([match.delay for match in result.matches], [3])

    def test_bank_later_than_window(self):
        result = reconcile([entry("2024-03-08", "-20")], [entry("2024-03-04", "-20")], window=3)
        self.assertEqual(result.matches, [])
        self.assertEqual(len(result.only_bank), 1)
        self.assertEqual(len(result.only_books), 1)

    def test_bank_first(self):
        result = reconcile([entry("2024-03-29", "-8.40")], [entry("2024-03-30", "-8.40")])
        self.assertEqual([match.delay for match in result.matches], [-1])

    def test_across_the_end_of_a_month(self):
        result = reconcile([entry("2024-02-01", "-50")], [entry("2024-01-31", "-50")])
        self.assertTrue(result.clean)

    def test_amounts_must_be_equal(self):
        result = reconcile([entry("2024-03-04", "-12.90")], [entry("2024-03-04", "12.90")])
        self.assertFalse(result.clean)

    def test_nearest_date_wins(self):
        books = [entry("2024-03-02", "-5", "far", 2), entry("2024-03-05", "-5", "near", 3)]
        result = reconcile([entry("2024-03-05", "-5")], books)
        self.assertEqual(result.matches[0].book.text, "near")

    def test_wording_breaks_ties(self):
        books = [
            entry("2024-03-05", "-5", "Parking garage", 2),
            entry("2024-03-05", "-5", "Coffee beans", 3),
        ]
        result = reconcile([entry("2024-03-05", "-5", "COFFEE HOUSE 12")], books)
        self.assertEqual(result.matches[0].book.text, "Coffee beans")

    def test_each_booking_is_used_once(self):
        bank = [entry("2024-03-05", "-5", "a", 2), entry("2024-03-05", "-5", "b", 3)]
        result = reconcile(bank, [entry("2024-03-05", "-5")])
        self.assertEqual(len(result.matches), 1)
        self.assertEqual([left.text for left in result.only_bank], ["b"])

    def test_negative_window(self):
        with self.assertRaises(ValueError):
            reconcile([], [], window=-1)
