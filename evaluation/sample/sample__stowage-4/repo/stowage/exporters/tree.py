"""Who needs whom, indented."""


def export(lock, dev=False):
    """The project, then its direct requirements, each followed by its own.

    A package on its own path is not descended into again.
    """
    pins = {pin.name: pin for pin in lock.selected(dev)}
    lines = [lock.project]

    def write(names, depth, path):
        for name in sorted(set(names)):
            lines.append("{}{} {}".format("  " * depth, name, pins[name].version))
            if name not in path:
                write(pins[name].requires, depth + 1, path | {name})

    write(lock.roots + (lock.dev_roots if dev else ()), 1, frozenset())
    return "\n".join(lines) + "\n"
