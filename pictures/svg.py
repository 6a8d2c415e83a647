"""A drawing of boxes, lines and text, as SVG."""

from html import escape

FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace"

INK = "#1f2328"
QUIET = "#656d76"
LINE = "#afb8c1"
PAPER = "#ffffff"
BLUE = "#ddf4ff"
GREEN = "#dafbe1"
YELLOW = "#fff8c5"
RED = "#ffebe9"
GREY = "#f6f8fa"


class Drawing:
    """A picture of a fixed size, in pixels. What is drawn later covers what was drawn before."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """Begin with an empty sheet; the title is for those who cannot see it."""
        self._size = width, height
        self._title = title
        self._parts: list[str] = []

    def box(  # noqa: PLR0913  # how it looks is told by keywords
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *lines: str,
        fill: str = GREY,
        border: str = LINE,
    ) -> None:
        """Draw a box with lines of text in its middle, the first of them bold."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'fill="{fill}" stroke="{border}"/>'
        )
        top = y + height / 2 - 9 * (len(lines) - 1) + 4.5
        for number, line in enumerate(lines):
            self.text(x + width / 2, top + 18 * number, line, anchor="middle", bold=number == 0)

    def text(  # noqa: PLR0913  # how it looks is told by keywords
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 13,
        fill: str = INK,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Write a line; y is its base line."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def line(self, *points: tuple[float, float], colour: str = QUIET, arrow: bool = False) -> None:
        """Draw a line through these points, with an arrow at its end if that is wanted."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"{end}/>'
        )

    def raw(self, part: str) -> None:
        """Add SVG as it is."""
        self._parts.append(part)

    def render(self) -> str:
        """Return the picture as a file's text."""
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="{FONT}" role="img">\n'
            f"<title>{escape(self._title)}</title>\n"
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            f'markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{QUIET}"/></marker>'
            f'</defs>\n<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>'
        )
        return "\n".join([head, *self._parts, "</svg>", ""])
