import contextlib
import io
import os
import tempfile
import unittest
from datetime import date, datetime

from cadence import Calendar, Event, StoreError, parse_rule, store
from cadence.cli import main


class StoreTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "calendar.json")

    def cadence(self, *argv):
        out = io.StringIO()
        with contextlib.redirect_stderr(io.StringIO()):
            status = main(["--file", self.path] + list(argv), out)
        return status, out.getvalue().splitlines()

    def test_round_trip(self):
        event = Event("Standup", datetime(2024, 3, 4, 9, 30), parse_rule("every week on mon, wed"))
        event.skip(date(2024, 3, 6))
        store.save(Calendar([event]), self.path)
        self.assertEqual(list(store.load(self.path)), [event])

    def test_missing_file_is_empty(self):
        self.assertEqual(len(store.load(self.path)), 0)

    def test_other_version(self):
        with open(self.path, "w", encoding="utf-8") as stream:
            stream.write('{"version": 9}')
        with self.assertRaises(StoreError):
            store.load(self.path)

    def test_add_list_skip(self):
        self.cadence("add", "Standup", "2024-03-04T09:30", "every week on mon, wed")
        self.cadence("skip", "Standup", "2024-03-06")
        status, lines = self.cadence("list", "--from", "2024-03-04", "--days", "8")
        self.assertEqual(status, 0)
        self.assertEqual(lines, ["2024-03-04 09:30  Standup", "2024-03-11 09:30  Standup"])

    def test_next(self):
        self.cadence("add", "Rent", "2024-01-31", "every month")
        self.assertEqual(
            self.cadence("next", "Rent", "--after", "2024-02-01"), (0, ["2024-02-29        Rent"])
        )

    def test_bad_rule(self):
        status, lines = self.cadence("add", "Standup", "2024-03-04", "now and then")
        self.assertEqual((status, lines), (2, []))
