"""HTML that notebooks show: escaped text and one style, without a script; colours are those of the page around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Greys that let the page shine through, and its own colour of text, are right on white and on black. To ask the system
# whether it is dark (prefers-color-scheme) would be wrong in each notebook whose theme is not the system's.
_LINE, _FILL = "rgba(128,128,128,.45)", "rgba(128,128,128,.08)"
_FORTH, _BACK = "rgba(64,128,255,.8)", "rgba(230,120,20,.85)"
STYLE = f"""<style>
.minibackprop{{font:13px/1.5 system-ui,sans-serif;color:inherit;max-width:62em;overflow-x:auto;text-align:left}}
.minibackprop *{{box-sizing:border-box}}
.minibackprop code,.minibackprop pre{{font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;color:inherit;
background:none;border:0;margin:0;padding:0}}
.minibackprop :not(pre)>code{{background:none;padding:0}}
.minibackprop code{{white-space:pre-wrap;overflow-wrap:anywhere}}
.minibackprop td code{{white-space:nowrap;overflow-wrap:normal}}
.minibackprop pre{{overflow-x:auto;margin:4px 0}}
.minibackprop summary{{cursor:pointer}}
.minibackprop .box{{border:1px solid {_LINE};border-radius:5px;background:{_FILL};margin:3px 0;padding:2px 8px;
min-width:0}}
.minibackprop .box .box .box .box .box{{background:none}}
.minibackprop .beside{{display:flex;flex-wrap:wrap;gap:0 6px}}
.minibackprop .beside>*{{flex:1 1 13em}}
.minibackprop .place,.minibackprop .note{{opacity:.7}}
.minibackprop .place{{font:12px ui-monospace,Menlo,Consolas,monospace;margin-right:.1em}}
.minibackprop .note{{white-space:nowrap}}
.minibackprop .tag{{border:1px solid {_LINE};border-radius:9px;background:rgba(64,128,255,.18);padding:0 7px;
white-space:nowrap}}
.minibackprop .cause{{border-left:3px solid rgba(64,128,255,.7);padding-left:8px;margin:4px 0}}
.minibackprop .wrong{{border-left:3px solid rgba(224,64,64,.8);padding-left:8px}}
.minibackprop .long{{max-height:36em;overflow:auto}}
.minibackprop table{{border-collapse:collapse;margin:4px 0;font:inherit;color:inherit;border:0;width:auto}}
.minibackprop td,.minibackprop th{{border:0;border-bottom:1px solid {_LINE};background:none;color:inherit;
padding:2px 10px;text-align:right;white-space:nowrap;vertical-align:top}}
.minibackprop tbody th{{font-weight:inherit}}
.minibackprop td.text,.minibackprop th.text,.minibackprop th.wide{{text-align:left}}
.minibackprop td.wide{{text-align:left;white-space:normal;min-width:14em}}
.minibackprop .passes{{max-width:36em}}
.minibackprop .passes>*{{margin:0;border-left:2px solid {_FORTH};border-right:2px solid {_BACK};padding:4px 10px}}
.minibackprop .passes>.box{{border-radius:0}}
.minibackprop .way{{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1em}}
.minibackprop .kept{{display:flex;align-items:center;gap:6px;margin:0 -10px}}
.minibackprop .kept::before,.minibackprop .kept::after{{content:"";flex:1;min-width:8px;opacity:.6;
border-top:1px dashed}}
.minibackprop .adds{{text-align:right}}
.minibackprop svg{{width:120px;height:24px;display:block;overflow:visible}}
.minibackprop polyline{{fill:none;stroke:currentColor;stroke-width:1.5;vector-effect:non-scaling-stroke}}
</style>"""


def escaped(text: str) -> str:
    """Make text of HTML that shows it; what no font shows, and half of a surrogate pair, is written as in Python."""
    from html import escape  # With a table of all entities, which few wait for.

    shown = (c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return escape("".join(shown))


def framed(content: str) -> str:
    """Put HTML where the style holds, and only there."""
    return f'{STYLE}<div class="minibackprop">{content}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kinds: Sequence[str]) -> str:
    """
    Make a table of cells that are HTML already.

    The first cell of a row is its header. Each column is of a kind: "text", "wide" (text that is broken into lines), or
    "" for numbers.
    """

    def line(cells: Sequence[str], opening: Sequence[str]) -> str:
        found = zip(opening, kinds, cells, strict=True)
        told = (f'<{tag} class="{kind}">{cell}</{tag[:2]}>' for tag, kind, cell in found)
        return f"<tr>{''.join(told)}</tr>"

    top = line(head, ['th scope="col"'] * len(head))
    row_tags = ['th scope="row"', *["td"] * (len(head) - 1)]
    return f"<table><thead>{top}</thead><tbody>{''.join(line(row, row_tags) for row in rows)}</tbody></table>"
