import unittest

from stowage import FormatError, Requirement, Version


class VersionTest(unittest.TestCase):
    def test_order(self):
        texts = ["1.10", "1.9", "2", "1.9.1", "0.9"]
        self.assertEqual(
            [str(v) for v in sorted(Version(text) for text in texts)],
            ["0.9", "1.9", "1.9.1", "1.10", "2"],
        )

    def test_trailing_zeros(self):
        self.assertEqual(Version("2.1"), Version("2.1.0"))
        self.assertEqual(hash(Version("2")), hash(Version("2.0")))
        self.assertEqual(str(Version("2.1.0")), "2.1.0")

    def test_nonsense(self):
        for text in ("", "1.", "1.0rc1", "v1"):
            with self.subTest(text):
                with self.assertRaises(FormatError):
                    Version(text)


class RequirementTest(unittest.TestCase):
    def test_clauses(self):
        requirement = Requirement.parse("Crane_Hook >= 2, <3, !=2.5")
        self.assertEqual(requirement.name, "crane-hook")
        self.assertEqual(str(requirement), "crane-hook >=2, <3, !=2.5")
        allowed = [text for text in ("1.9", "2", "2.5.0", "2.9", "3") if requirement.allows(Version(text))]
        self.assertEqual(allowed, ["2", "2.9"])

    def test_bare_name(self):
        self.assertTrue(Requirement.parse("chain").allows(Version("0")))

    def test_nonsense(self):
        for text in ("", "crane ~2", "crane >=", "crane 2"):
            with self.subTest(text):
                with self.assertRaises(FormatError):
                    Requirement.parse(text)
