"""One self-contained page of an evaluation or a comparison: no network, no script needed, light, dark and on paper."""

from .notebook import notebook_html
from .page import html
from .static import figure

__all__ = ["figure", "html", "notebook_html"]
