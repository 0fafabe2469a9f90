"""The project and the index that several tests use."""

from stowage import Index, Project

PROJECT = {
    "name": "harbour",
    "requires": ["crane >=2, <3", "manifest"],
    "dev_requires": ["sextant"],
}

INDEX = {
    "crane": {"1.0": [], "2.0": ["chain"], "2.1": ["chain >=1.2"], "3.0": ["chain >=2"]},
    "manifest": {"0.9": ["chain <2"]},
    "chain": {"1.1": [], "1.4": [], "2.0": []},
    "sextant": {"5.0": ["brass"]},
    "brass": {"0.3": []},
}


def project():
    return Project.from_dict(PROJECT)


def index():
    return Index(INDEX)
