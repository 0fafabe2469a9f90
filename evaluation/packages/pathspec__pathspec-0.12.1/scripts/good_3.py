import pathspec

spec = pathspec.PathSpec.from_lines("gitwildmatch", ["build/"])
paths = ["build/x.o", "src/x.c", "README", "docs\\index.html"]
types = {type(spec.match_file(path, separators=["\\"])) for path in paths}
checked = spec.check_file("src/x.c")

if checked.include is not None or spec.match_file("build/x.o") is not True:
    print("Other issues")
elif types == {bool}:
    print("Issue resolved")
elif type(None) in types:
    print("Issue reproduced")
else:
    print("Other issues")
