import tomlkit

doc = tomlkit.parse("a = 33\nb = 4\n")
plain = {"a": 33, "b": 4}

quotients = [doc["a"] / 2, 7 / doc["a"], doc["a"] / doc["b"], doc["b"] / 2]
wanted = [plain["a"] / 2, 7 / plain["a"], plain["a"] / plain["b"], plain["b"] / 2]
floors = [doc["a"] // 2, 7 // doc["a"]]

if floors != [16, 0]:
    print("Other issues")
elif quotients == wanted and all(isinstance(q, float) for q in quotients):
    print("Issue resolved")
elif quotients == [16, 0, 8, 2]:
    print("Issue reproduced")
else:
    print("Other issues")
