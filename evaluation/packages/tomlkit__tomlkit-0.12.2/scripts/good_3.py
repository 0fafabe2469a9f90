import tomlkit

doc = tomlkit.parse("timeout = 33 # seconds\n")
doc["timeout"] /= 2
text = tomlkit.dumps(doc)
value = doc["timeout"]

if "16.5" in text and value + 0.25 == 16.75:
    print("Issue resolved")
elif value == 16:
    print("Issue reproduced")
else:
    print("Other issues")
