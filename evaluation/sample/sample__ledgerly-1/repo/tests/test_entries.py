import io
import unittest
from datetime import date
from decimal import Decimal

from ledgerly import Entry, FileFormatError, read_entries


class ReadEntriesTest(unittest.TestCase):
    def read(self, text):
        return read_entries(io.StringIO(text), "bank.csv")

    def test_comma_file(self):
        entries = self.read("date,text,amount\n2024-03-28,Rent,-1200.00\n")
        self.assertEqual(entries, [Entry(date(2024, 3, 28), Decimal("-1200.00"), "Rent", 2)])

    def test_semicolon_file_with_other_headings(self):
        entries = self.read("\ufeffBooking Date;Details;Value\n28.03.2024;Rent;-1.200,00\n")
        self.assertEqual(entries[0].day, date(2024, 3, 28))
        self.assertEqual(entries[0].amount, Decimal("-1200.00"))

    def test_rows_without_amount_are_skipped(self):
        entries = self.read("date,amount,text\n2024-03-01,,opening balance\n\n2024-03-02,5,x\n")
        self.assertEqual([entry.text for entry in entries], ["x"])

    def test_missing_column(self):
        with self.assertRaisesRegex(FileFormatError, "bank.csv:1: no column for 'amount'"):
            self.read("date,text\n2024-03-01,x\n")

    def test_bad_date_names_line(self):
        with self.assertRaisesRegex(FileFormatError, "bank.csv:2: not a date: '03/28/24'"):
            self.read("date,amount,text\n03/28/24,1,x\n")

    def test_empty_file(self):
        with self.assertRaises(FileFormatError):
            self.read("")
