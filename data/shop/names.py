"""What the invented customers are called and where they live.

Common first and last names, combined at random: nobody in the files is a real person. Telephone
numbers come from the ranges that regulators keep for films and books (BNetzA, ARCEP, Ofcom, and
555-01xx); Iran keeps no such range, so its numbers are 0900 000 0000 and up. Mail addresses use
only the names that RFC 2606 and RFC 6761 reserve.
"""

from __future__ import annotations

from typing import NamedTuple


class Country(NamedTuple):
    """One country that the shop delivers to."""

    code: str
    share: float
    calling_code: str
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]  # city, pattern of its postal codes
    phones: tuple[str, ...]  # patterns in the local way of writing
    romanised: tuple[tuple[str, str], ...] = ()  # for mail addresses


# In every pattern # is a random digit and ? a random capital letter.
GERMANY = Country(
    "DE",
    0.40,
    "+49",
    ("Anna", "Lena", "Jürgen", "Björn", "Katharina", "Lukas", "Sabine", "Tobias", "Miriam", "Paul"),
    ("Müller", "Schmidt", "Weiß", "Großmann", "Fischer", "Köhler", "Vogel", "Hartmann", "Lang"),
    (
        ("Berlin", "10###"),
        ("Dresden", "01###"),
        ("Hamburg", "20###"),
        ("Köln", "50###"),
        ("München", "80###"),
    ),
    ("030 23125 ###", "040 66969 ###", "069 90009 ###", "0221 4710 ###", "089 99998 ###"),
)
FRANCE = Country(
    "FR",
    0.16,
    "+33",
    ("Chloé", "Léa", "François", "Élodie", "Hugo", "Zoë", "Mathieu", "Camille", "Noël", "Inès"),
    ("Lefèvre", "Martin", "D'Amboise", "Bernard", "Le Gall", "Moreau", "Garçon", "Petit"),
    (("Paris", "750##"), ("Lyon", "6900#"), ("Nice", "06000"), ("Bourg-en-Bresse", "01000")),
    ("06 39 98 ## ##", "0639 98 ####", "01 99 00 ## ##"),
)
BRITAIN = Country(
    "GB",
    0.16,
    "+44",
    ("Oliver", "Amelia", "George", "Isla", "Siân", "Harry", "Freya", "Mary Jane", "Alfie"),
    ("Smith", "O'Brien", "Jones", "Smith-Jones", "Taylor", "MacLeod", "Evans", "St. John"),
    (("London", "SW# #??"), ("Leeds", "LS# #??"), ("Cardiff", "CF1# #??"), ("Glasgow", "G1 #??")),
    ("07700 900###", "07700 900 ###", "020 7946 0###"),
)
AMERICA = Country(
    "US",
    0.12,
    "+1",
    ("Emma", "Liam", "Ava", "Noah", "José", "Sophia", "Mason", "Grace", "D'Angelo"),
    ("Johnson", "Williams", "Garcia", "Núñez", "Davis", "Van Dyke", "Brown", "Lee"),
    (("Boston", "021##"), ("Austin", "787##"), ("Seattle", "981##"), ("New York", "100##")),
    ("(617) 555-01##", "512-555-01##", "206.555.01##", "(212) 555-01##"),
)
IRAN = Country(
    "IR",
    0.16,
    "+98",
    ("زهرا", "علی‌رضا", "مریم", "رضا", "فاطمه", "کاوه", "نیلوفر", "امیرحسین", "شیرین", "بهرام"),
    ("احمدی", "حسینی", "کریمی", "رستگار", "نیک‌پور", "جعفری", "موسوی", "صادقی"),
    (("تهران", "11########"), ("اصفهان", "81########"), ("شیراز", "71########")),
    ("0900 000 0###", "09000000###", "0900-000-0###"),
    (
        ("زهرا", "zahra"),
        ("علی‌رضا", "alireza"),
        ("مریم", "maryam"),
        ("رضا", "reza"),
        ("فاطمه", "fatemeh"),
        ("کاوه", "kaveh"),
        ("نیلوفر", "niloufar"),
        ("امیرحسین", "amirhossein"),
        ("شیرین", "shirin"),
        ("بهرام", "bahram"),
        ("احمدی", "ahmadi"),
        ("حسینی", "hosseini"),
        ("کریمی", "karimi"),
        ("رستگار", "rastegar"),
        ("نیک‌پور", "nikpour"),
        ("جعفری", "jafari"),
        ("موسوی", "mousavi"),
        ("صادقی", "sadeghi"),
    ),
)

COUNTRIES = (GERMANY, FRANCE, BRITAIN, AMERICA, IRAN)

# Names that break careless exports, each given to one customer: separators and quotes, cells that
# a spreadsheet would run as a formula, mark-up, a line end, text that turns the reading direction.
NASTY_NAMES = (
    ("=1+1", "Formula"),
    ("+Plus", "Sign"),
    ("-Minus", "Sign"),
    ("@At", "Sign"),
    ("\tTab", "First"),
    ("\nReturn", "First"),
    ('=HYPERLINK("http://example.com","x")', "Link"),
    ("<script>alert(1)</script>", "<b>Bold</b>"),
    ('Anna "Ani"', "Quoted"),
    ("Robert", "Comma, Jr."),
    ("Semi;colon", "Pipe|Bar"),
    ("  Spaces  ", " Around "),
    ("\u202eReversed", "Direction"),
    ("Null", "None"),
    ("NA", "NaN"),
    ("😀", "Emoji"),
)

# Customer numbers that break careless joins and exports; the others look like C00017.
NASTY_IDS = ('C,"quoted"', "=C00001", "مشتری ۱۲", "c00017 ", "0042")
