"""Text for plots, in letters that there are: how wide it is, shortened to fit, other scripts in other fonts."""

from __future__ import annotations

import functools

_OTHERS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
    "Noto Sans Thai", "Nirmala UI", "Segoe UI Symbol", "Apple Symbols", "Noto Sans Symbols2",
)  # fmt: skip
"""Fonts of other scripts; those that are installed are used for what the first one lacks."""
_FIRST = "DejaVu Sans"
_LACKING = "□"


@functools.lru_cache(1)
def families() -> list[str]:
    """Fonts to draw with, in the order that letters are looked up."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [_FIRST, *(name for name in _OTHERS if name in installed)]


@functools.lru_cache(1)
def _fonts() -> list[object]:
    from matplotlib import font_manager as fonts

    return [fonts.get_font(fonts.findfont(fonts.FontProperties(family=name))) for name in families()]


@functools.lru_cache(4096)
def _is_drawn(letter: str) -> bool:
    return letter.isprintable() and any(font.get_char_index(ord(letter)) for font in _fonts())  # type: ignore[attr-defined]


def drawable(text: str) -> str:
    """One line of the letters that can be drawn, a box in place of each other one."""
    return "".join(c if c == " " or _is_drawn(c) else _LACKING for c in " ".join(text.split()))


def is_lacking(text: str) -> bool:
    """Whether `drawable(text)` has boxes in it that the text has not."""
    return drawable(text).count(_LACKING) > text.count(_LACKING)


@functools.lru_cache(4096)
def width(text: str, size: float, bold: bool = False) -> float:
    """Of drawable text, in points, and a little more: letters are set on whole pixels, which widens them."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=families(), size=size, weight="bold" if bold else "normal")  # type: ignore[arg-type]
    return 1.03 * float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def fitted(text: str, room: float, size: float, bold: bool = False, tail: int = 0) -> str:
    """Drawable text that is at most `room` points wide: an ellipsis stands for what is before its last `tail` letters.

    Ends tell long names apart (`... in 2019`, `... in 2020`), so names are shortened in their middle.
    """
    line = drawable(text)
    if width(line, size, bold) <= room:
        return line
    end = line[len(line) - tail :].lstrip() if tail else ""
    low, high = 0, len(line) - tail
    while low + 1 < high:
        middle = (low + high) // 2
        if width(f"{line[:middle].rstrip()}…{end}", size, bold) <= room:
            low = middle
        else:
            high = middle
    if low:
        return f"{line[:low].rstrip()}…{end}"
    return fitted(text, room, size, bold) if tail else ""
