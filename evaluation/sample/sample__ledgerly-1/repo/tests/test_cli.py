import contextlib
import io
import os
import tempfile
import unittest

from ledgerly.cli import main


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, *rows):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("date,amount,text\n" + "".join(row + "\n" for row in rows))
        return path

    def run_main(self, *argv):
        out = io.StringIO()
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = main(list(argv), out)
        return status, out.getvalue(), err.getvalue()

    def test_everything_matches(self):
        bank = self.write("bank.csv", "2024-03-05,-20.00,TRANSFER")
        books = self.write("books.csv", "2024-03-04,-20.00,Stationery")
        status, out, _ = self.run_main(bank, books, "-v")
        self.assertEqual(status, 0)
        self.assertIn("2024-03-05     -20.00  TRANSFER  (+1 d)", out)

    def test_leftovers(self):
        bank = self.write("bank.csv", "2024-03-05,-20.00,TRANSFER")
        books = self.write("books.csv", "2024-02-04,-20.00,Stationery")
        status, out, _ = self.run_main(bank, books, "--csv")
        self.assertEqual(status, 1)
        self.assertEqual(
            out.splitlines()[1:],
            ["bank,2024-03-05,-20.00,TRANSFER", "books,2024-02-04,-20.00,Stationery"],
        )

    def test_missing_file(self):
        books = self.write("books.csv")
        status, _, err = self.run_main(os.path.join(self.folder, "nope.csv"), books)
        self.assertEqual(status, 2)
        self.assertIn("nope.csv", err)
