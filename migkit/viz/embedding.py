"""Figures inside a page of one's own: the library and what draws, once, and each figure as data."""

from __future__ import annotations

from typing import Final

from migkit.viz.style import INK, Figure

__all__ = ["drawing", "embedded"]

_DRAW: Final = """
(() => {
  const ink = () => getComputedStyle(document.body).color;
  const drawAll = (colour) => {
    for (const box of document.querySelectorAll("div.figure")) {
      const figure = JSON.parse(box.nextElementSibling.textContent.replaceAll("INK", colour));
      figure.layout.autosize = true;
      Plotly.react(box, figure.data, figure.layout,
        {showSendToCloud: false, displaylogo: false, responsive: true, toImageButtonOptions: {format: "svg"}});
    }
  };
  drawAll(ink());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(ink()));
  addEventListener("beforeprint", () => drawAll("#222222"));
  addEventListener("afterprint", () => drawAll(ink()));
})();
""".replace("INK", INK)


def drawing() -> str:
    """Return the scripts that stand at the end of a page with figures; they load nothing.

    Text of figures has the colour of the page's text. It follows a change of theme, and is dark in print.

    Examples
    --------
    >>> drawing().count("</script>")
    2
    """
    from plotly.offline import get_plotlyjs

    library = str(get_plotlyjs()).replace("</script", "<\\/script")
    return f"<script>{library}</script>\n<script>{_DRAW}</script>"


def embedded(figure: Figure) -> str:
    """Return where a figure stands in a page, and what it holds.

    Examples
    --------
    >>> from migkit.viz.style import scatter, styled
    >>> embedded(styled([scatter(x=[1], y=[2], name="</script>")])).count("</script>")
    1
    """
    height = int(figure.layout.height or 340)
    values = str(figure.to_json()).replace("<", "\\u003c")
    return f'<div class="figure" style="height:{height}px"></div><script type="application/json">{values}</script>'
