"""Pictures of matplotlib as inline SVG that a strict content security policy lets stand.

matplotlib writes inline styles, a style sheet and a date. Inline styles become attributes, which
mean the same and need no permission; text stays text, so that the browser shapes it (Persian
letters join) and a reader can select it.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"

#: How the page's pictures are written: text as text, and the same names in every run.
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "clv",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a customer's "$5" is no formula
}


def inline_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """A figure as an ``<svg>`` element.

    Parameters
    ----------
    figure
        Drawn under `SETTINGS`.
    name
        Unique on the page; begins every identifier.
    title, description
        What the picture shows, for those who do not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    for prefix, space in (("", _SVG), ("xlink", _LINK)):
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    names = {e.get("id", ""): f"{name}-{e.get('id')}" for e in root.iter() if e.get("id")}
    for element in root.iter():
        _attributes(element, names)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        ending = "title" if tag == "title" else "description"
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{ending}"})
        element.text = text
        root.insert(place, element)
    text = ElementTree.tostring(root, encoding="unicode")
    return Markup(re.sub(r">\s+<", "><", text))  # every text in it was escaped by ElementTree


def _attributes(element: ElementTree.Element, names: dict[str, str]) -> None:
    for rule in element.attrib.pop("style", "").split(";"):
        key, colon, value = (part.strip() for part in rule.partition(":"))
        if not colon:
            continue
        if key == "font":
            element.attrib |= _font(value)
        elif key != "font-family":
            element.set(key, value)
    if "id" in element.attrib:
        element.set("id", names[element.attrib["id"]])
    for key, value in list(element.attrib.items()):
        if value.startswith("#") and value[1:] in names:
            # SVG 2 links without a namespace
            element.attrib.pop(key)
            element.set("href", f"#{names[value[1:]]}")
        elif (found := re.fullmatch(r"url\(#(.+)\)", value)) and found[1] in names:
            element.set(key, f"url(#{names[found[1]]})")


def _font(value: str) -> dict[str, str]:
    """The parts of a CSS ``font``, which older versions write; its family is the page's."""
    found = re.match(r"(?:(?P<before>.*?)\s)?(?P<size>[\d.]+)px", value)
    if found is None:
        return {}
    weight = re.search(r"\b(bold|[1-9]00)\b", found["before"] or "")
    return {"font-size": found["size"], **({"font-weight": weight[1]} if weight else {})}
