"""What `clv customer` says, in English and in Persian."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from clv.lifecycle.reasons import TEXTS

_PERSIAN_MARKS = str.maketrans("0123456789,.%", "۰۱۲۳۴۵۶۷۸۹٬٫٪")

ENGLISH = {
    "title": "Customer {id}, as of {day}",
    "name": "{name}",
    "stage": "stage",
    "why": "because",
    "tier": "tier",
    "tier_why": "{tier}: worth more than {share} of the customers from here on",
    "segment": "RFM segment",
    "since": "customer since",
    "orders": "orders so far",
    "last": "last order",
    "ago": "{day}, {days} days ago",
    "yesterday": "{day}, yesterday",
    "today": "{day}, today",
    "rhythm": "usual rhythm",
    "every": "one order every {days} days",
    "no_rhythm": "one order only: no rhythm yet",
    "spent": "spent so far",
    "per_order": "{total}, {mean} an order",
    "alive": "still a customer",
    "with_probability": "with probability {p}",
    "next": "next order",
    "around": "even chance by {middle}",
    "range": "10 % by {low}, 90 % by {high}",
    "from": "10 % by {low}",
    "unlikely": "less likely than not, or very far ahead",
    "none": "not to be expected",
    "within": "orders within {days} days",
    "for_ever": "orders from here on",
    "interval": "{value} expected ({share} interval {low} to {high})",
    "expected": "{value} expected",
    "silent": "no order in that time",
    "worth": "worth from here on",
    "in_all": "worth in all",
    "never": "has not ordered yet",
    "details": "In the customers table",
}

PERSIAN = {
    "title": "مشتری {id}، تا {day}",
    "name": "{name}",
    "stage": "مرحله",
    "why": "به این دلیل",
    "tier": "رده",
    "tier_why": "{tier}: از این پس ارزشمندتر از {share} مشتریان",
    "segment": "گروه RFM",
    "since": "مشتری از",
    "orders": "سفارش‌ها تاکنون",
    "last": "آخرین سفارش",
    "ago": "{day}، {days} روز پیش",
    "yesterday": "{day}، دیروز",
    "today": "{day}، امروز",
    "rhythm": "آهنگ معمول خرید",
    "every": "هر {days} روز یک سفارش",
    "no_rhythm": "تنها یک سفارش: هنوز آهنگی ندارد",
    "spent": "خرید تاکنون",
    "per_order": "{total}، هر سفارش {mean}",
    "alive": "هنوز مشتری است",
    "with_probability": "با احتمال {p}",
    "next": "سفارش بعدی",
    "around": "به احتمال ۵۰٪ تا {middle}",
    "range": "به احتمال ۱۰٪ تا {low} و ۹۰٪ تا {high}",
    "from": "به احتمال ۱۰٪ تا {low}",
    "unlikely": "احتمالش کمتر از نیم است، یا بسیار دور است",
    "none": "انتظار نمی‌رود",
    "within": "سفارش‌ها در {days} روز آینده",
    "for_ever": "سفارش‌ها از این پس",
    "interval": "{value} (بازهٔ {share}: {low} تا {high})",
    "expected": "{value}",
    "silent": "بدون سفارش در این مدت",
    "worth": "ارزش از این پس",
    "in_all": "ارزش در کل",
    "never": "هنوز سفارشی نداده است",
    "details": "در جدول مشتریان",
    # stages, tiers, segments
    "prospect": "مشتری بالقوه",
    "prospects": "مشتری بالقوه",
    "new": "تازه",
    "active": "فعال",
    "loyal": "وفادار",
    "at risk": "در خطر",
    "lost": "از دست رفته",
    "platinum": "پلاتینی",
    "gold": "طلایی",
    "silver": "نقره‌ای",
    "bronze": "برنزی",
    "no tier": "بی‌رده",
    "champions": "برترین‌ها",
    "promising": "امیدبخش",
    "needs attention": "نیازمند توجه",
    "almost lost": "در آستانهٔ از دست رفتن",
    "previously loyal": "پیش‌تر وفادار",
    "dormant": "خاموش",
}

_PERSIAN_REASONS = {
    "prospect": "در جدول مشتریان است، ولی هنوز سفارشی نداده",
    "new": "نخستین سفارش {silence:.0f} روز پیش بود (تازه: تا {limit:.0f} روز)",
    "lost_inactive": "{silence:.0f} روز است که سفارش نداده (از دست رفته: پس از {limit:.0f} روز)",
    "lost_alive": "تنها با احتمال {alive:.0%} هنوز مشتری است (از دست رفته: زیر {limit:.0%})",
    "lost_silent": "با احتمال {silent:.0%} در {ahead:.0f} روز آینده سفارش نمی‌دهد "
    "(از دست رفته: بالای {limit:.0%})",
    "at_risk_once": "تنها یک سفارش، {silence:.0f} روز پیش (تازه: تا {limit:.0f} روز)",
    "at_risk_alive": "با احتمال {alive:.0%} هنوز مشتری است (در خطر: زیر {limit:.0%})",
    "at_risk_silent": "با احتمال {silent:.0%} در {ahead:.0f} روز آینده سفارش نمی‌دهد "
    "(در خطر: بالای {limit:.0%})",
    "loyal": "{purchases:.0f} سفارش (وفادار: از {limit:.0f})، با احتمال {alive:.0%} هنوز مشتری است",
    "active": "{purchases:.0f} سفارش، آخرین {silence:.0f} روز پیش، "
    "با احتمال {alive:.0%} هنوز مشتری است",
}


class Words(NamedTuple):
    """How one language says and writes things."""

    texts: dict[str, str]
    reasons: dict[str, str]
    persian: bool
    jalali: bool

    def text(self, key: str, **values: str) -> str:
        """A text with its places filled."""
        return self.texts[key].format(**values)

    def term(self, name: str) -> str:
        """A stage, tier or segment; one without translation stays as it is."""
        return self.texts.get(name, name) if self.persian else name

    def number(self, value: float, digits: int = 0) -> str:
        """A number."""
        return self.own(f"{value:,.{digits}f}")

    def share(self, value: float) -> str:
        """A probability or share as per cent."""
        return self.own(f"{value:.0%}")

    def day(self, value: date | None) -> str:
        """A day, in the calendar that was asked for."""
        if value is None:
            return "–"
        if not self.jalali:
            return self.own(value.isoformat())
        from clv.tables._day import jalali_text

        return self.own(jalali_text(value))

    def reason(self, rule: str, numbers: dict[str, float]) -> str:
        """Why somebody is in their stage."""
        return self.own(self.reasons[rule].format(**numbers))

    def own(self, text: str) -> str:
        """The digits and marks of the language."""
        return text.translate(_PERSIAN_MARKS) if self.persian else text


def words(language: str, calendar: str) -> Words:
    """The words of a language; Persian comes with the Iranian calendar."""
    if language == "fa":
        return Words(PERSIAN, _PERSIAN_REASONS, persian=True, jalali=True)
    return Words(ENGLISH, TEXTS, persian=False, jalali=calendar == "jalali")
