import unittest

from stowage import ConflictError, Index, Project, UnknownPackage, resolve

from . import harbour


def chosen(requires, packages):
    lock = resolve(Project.from_dict({"name": "app", "requires": requires}), Index(packages))
    return {pin.name: str(pin.version) for pin in lock.pins}


class ResolveTest(unittest.TestCase):
    def test_newest_that_fits(self):
        lock = resolve(harbour.project(), harbour.index())
        self.assertEqual(
            [(pin.name, str(pin.version), pin.dev) for pin in lock.pins],
            [
                ("chain", "1.4", False),
                ("crane", "2.1", False),
                ("manifest", "0.9", False),
                ("brass", "0.3", True),
                ("sextant", "5.0", True),
            ],
        )

    def test_older_version_where_the_newest_leads_nowhere(self):
        packages = {
            "a": {"1.0": ["b <2"], "2.0": ["b >=2"]},
            "b": {"1.0": [], "2.0": []},
            "c": {"1.0": ["b ==1.0"]},
        }
        self.assertEqual(chosen(["a", "c"], packages), {"a": "1.0", "b": "1.0", "c": "1.0"})

    def test_cycle(self):
        packages = {"a": {"1.0": ["b"]}, "b": {"1.0": ["a"]}}
        self.assertEqual(chosen(["a"], packages), {"a": "1.0", "b": "1.0"})

    def test_conflict_names_who_asked(self):
        packages = {"a": {"1.0": ["b <1"]}, "b": {"0.5": [], "1.0": []}}
        with self.assertRaisesRegex(ConflictError, "no version of b fits: app wants b >=1; a wants b <1"):
            chosen(["b >=1", "a"], packages)

    def test_unknown_package(self):
        with self.assertRaisesRegex(UnknownPackage, "a needs b, which is not in the index"):
            chosen(["a"], {"a": {"1.0": ["b"]}})
