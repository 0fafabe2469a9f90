import tomlkit

doc = tomlkit.parse("timeout = 33\n")
half = doc["timeout"] / 2

if half == 16.5:
    print("Issue resolved")
elif half == 16:
    print("Issue reproduced")
else:
    print("Other issues")
