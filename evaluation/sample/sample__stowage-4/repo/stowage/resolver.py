"""Choosing versions by backtracking, newest first."""

from .errors import ConflictError, UnknownPackage
from .lockfile import Lock, Pin


def resolve(project, index):
    """Lock a project; raises :class:`ConflictError` or :class:`UnknownPackage`."""
    wanted = [(project.name, item) for item in project.requires + project.dev_requires]
    chosen = _search(wanted, {}, [], index)
    needed = _reachable([item.name for item in project.requires], chosen, index)
    pins = []
    for name in _dependencies_first([item.name for _, item in wanted], chosen, index):
        requires = tuple(sorted({item.name for item in index.requires(name, chosen[name])}))
        pins.append(Pin(name, chosen[name], requires, dev=name not in needed))
    roots = tuple(item.name for item in project.requires)
    dev_roots = tuple(item.name for item in project.dev_requires)
    return Lock(project.name, roots, dev_roots, tuple(pins))


def _search(queue, chosen, seen, index):
    """Extend ``chosen`` until ``queue`` is met; ``seen`` holds what was met already."""
    if not queue:
        return chosen
    (source, requirement), rest = queue[0], queue[1:]
    name = requirement.name
    seen = seen + [(source, requirement)]
    if name in chosen:
        if requirement.allows(chosen[name]):
            return _search(rest, chosen, seen, index)
        raise _conflict(name, seen)
    if name not in index:
        raise UnknownPackage(name, source)
    failure = None
    for version in index.versions(name):
        if not requirement.allows(version):
            continue
        more = [(name, item) for item in index.requires(name, version)]
        try:
            return _search(rest + more, dict(chosen, **{name: version}), seen, index)
        except ConflictError as error:
            failure = error
    raise failure or _conflict(name, seen)


def _conflict(name, seen):
    asking = [(source, str(item)) for source, item in seen if item.name == name]
    return ConflictError(name, asking)


def _reachable(names, chosen, index):
    found = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(item.name for item in index.requires(name, chosen[name]))
    return found


def _dependencies_first(names, chosen, index):
    """Order of installation; members of a cycle come in the order that they are met."""
    order, entered = [], set()

    def visit(name):
        if name in entered:
            return
        entered.add(name)
        for item in index.requires(name, chosen[name]):
            visit(item.name)
        order.append(name)

    for name in names:
        visit(name)
    return order
