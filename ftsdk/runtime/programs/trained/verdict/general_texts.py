"""Texts that a language model predicts well before it is trained: what a training makes it forget shows in them."""

from __future__ import annotations

GENERAL_TEXTS = {
    "English": (
        "Paris is the capital of France. The river Seine flows through it, and the Eiffel Tower stands on its bank.",
        "Water boils at one hundred degrees Celsius at sea level. On a high mountain it boils at a lower temperature.",
        "The heart pumps blood through the body. Arteries carry blood away from it, and veins bring blood back to it.",
        "Once upon a time there was a king who had three daughters. The youngest of them was the kindest of all.",
        "If you want to learn a language, read a little every day, listen to people, and do not be afraid of mistakes.",
    ),
    "Chinese": (
        "北京是中国的首都,也是全国的政治和文化中心。",
        "水在一百摄氏度时沸腾,在零摄氏度时结冰。",
        "春天来了,花开了,小鸟在树上唱歌。",
        "学习一门语言需要每天练习听、说、读、写。",
        "从前有一座山,山上有一座庙,庙里有一个老和尚在讲故事。",
    ),
    "code": (
        "def factorial(n):\n    if n == 0:\n        return 1\n    return n * factorial(n - 1)\n",
        "for i in range(10):\n    if i % 2 == 0:\n        print(i)\n",
        "SELECT name, price FROM products WHERE price > 100 ORDER BY price DESC LIMIT 10;",
        'import json\n\nwith open("data.json") as file:\n    data = json.load(file)\nprint(len(data))\n',
        "function add(a, b) {\n  return a + b;\n}\nconsole.log(add(1, 2));\n",
    ),
    "arithmetic": (
        "2 + 2 = 4. 3 + 5 = 8. 10 - 7 = 3. 6 * 7 = 42. 100 / 4 = 25.",
        "One apple costs 2 dollars, so 5 apples cost 10 dollars, and with 20 dollars one can buy 10 apples.",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
        "Half of 50 is 25, a quarter of 100 is 25, and ten percent of 200 is 20.",
        "A train that goes 60 kilometres in one hour goes 120 kilometres in two hours and 30 in half an hour.",
    ),
}
"""Kind -> texts."""
