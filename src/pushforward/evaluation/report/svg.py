"""Drawings as SVG text, in the colours of the page: well-formed XML, every text from users escaped and shortened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .scales import Scale
from .text import escape, shortened, written

Points = Sequence[tuple[float, float]]


def _n(value: float) -> str:
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


class Drawing:
    """A picture of width x height pixels, that shrinks with its column; `label` says in words what it shows."""

    def __init__(self, width: float, height: float, label: str):
        self.width, self.height, self.label = width, height, label
        self.parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, cls: str = "axis") -> None:
        self.parts.append(f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{cls}"/>')

    def box(self, x1: float, y1: float, x2: float, y2: float, cls: str) -> None:
        x, y, w, h = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
        self.parts.append(f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" class="{cls}"/>')

    def path(self, points: Points, cls: str, close: bool = False, **attributes: Any) -> None:
        if len(points) > 1:
            steps = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
            self.parts.append(f'<path d="M{steps}{"Z" if close else ""}" class="{cls}"{written(attributes)}/>')

    def text(
        self, x: float, y: float, text: str, cls: str = "", *, at: str = "start", room: float | None = None,
        turn: bool = False, tail: int = 0,
    ) -> None:  # fmt: skip
        """`at`: "start", "middle", "end" lies on x. `room`: in less, the text is shortened; the whole is a tooltip."""
        says = text if room is None else shortened(text, room, tail=tail)
        attributes = {"class_": cls or None, "text_anchor": at if at != "start" else None}
        place = f'transform="translate({_n(x)} {_n(y)}) rotate(-90)"' if turn else f'x="{_n(x)}" y="{_n(y)}"'
        title = "" if says == text else f"<title>{escape(text)}</title>"
        self.parts.append(f"<text {place}{written(attributes)}>{title}{escape(says)}</text>")

    def dot(self, x: float, y: float, cls: str, shape: str = "circle", r: float = 4.5) -> None:
        """A mark: circle, diamond, or an arrow to the left or right."""
        if shape == "circle":
            self.parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" class="{cls}"/>')
            return
        k = 1.25 * r
        corners = {
            "diamond": [(x, y - k), (x + k, y), (x, y + k), (x - k, y)],
            "left": [(x - r, y), (x + r, y - r), (x + r, y + r)],
            "right": [(x + r, y), (x - r, y - r), (x - r, y + r)],
        }[shape]
        self.path(corners, cls, close=True)

    def image(self, x: float, y: float, width: float, height: float, uri: str) -> None:
        self.parts.append(
            f'<image x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
            f'preserveAspectRatio="none" class="crisp" href="{uri}"/>'
        )

    def x_axis(self, scale: Scale, y: float, *, ticks: int = 5, top: float | None = None, name: str = "") -> None:
        """A line with round numbers below; `top`: how far up faint lines go. Labels never touch."""
        self.line(scale.start, y, scale.end, y)
        taken: list[tuple[float, float]] = []
        for value, says in sorted(scale.ticks(ticks), key=lambda tick: tick[0] != 0):  # 0 has its label in any case
            x = scale(value)
            half = 3.3 * len(says)
            middle = min(max(x, scale.start - 16 + half), self.width - half)
            if top is not None:
                self.line(x, y, x, top, "grid")
            self.line(x, y, x, y + 3)
            if all(middle - half > end + 4 or middle + half < start - 4 for start, end in taken):
                self.text(middle, y + 14, says, "tick", at="middle")
                taken.append((middle - half, middle + half))
        if name:
            middle = (scale.start + scale.end) / 2
            self.text(middle, y + 28, name, "name", at="middle", room=2 * min(middle, self.width - middle))

    def y_axis(self, scale: Scale, x: float, *, ticks: int = 4, right: float | None = None, name: str = "") -> None:
        """A line with round numbers to its left; `scale` goes from bottom to top."""
        self.line(x, scale.start, x, scale.end)
        for value, says in scale.ticks(ticks):
            y = scale(value)
            if right is not None:
                self.line(x, y, right, y, "grid")
            self.line(x - 3, y, x, y)
            self.text(x - 5, y + 4, says, "tick", at="end")
        if name:
            self.text(11, (scale.start + scale.end) / 2, name, "name", at="middle", turn=True,
                      room=abs(scale.start - scale.end))  # fmt: skip

    def done(self, cls: str = "") -> str:
        """The drawing as an element of the page."""
        return (
            f'<svg viewBox="0 0 {_n(self.width)} {_n(self.height)}" width="{_n(self.width)}" '
            f'height="{_n(self.height)}" role="img" aria-label="{escape(self.label)}"'
            f"{written({'cls': cls or None})}>{''.join(self.parts)}</svg>"
        )
