"""How a page looks and the one small script that it has: both are part of the page, and nothing else is loaded."""

from __future__ import annotations

import base64
import hashlib

CSS = """
:root{color-scheme:light dark;--back:#fff;--card:#f6f7f9;--text:#1b1f24;--quiet:#58616c;--line:#d5d9df;--grid:#e9ecef;
--mark:#1c5fa8;--fill:#9cc0e4;--bad:#b23c00;--band:#cfe6d4;--middle:#3c7a4c}
@media (prefers-color-scheme:dark){:root{--back:#14171b;--card:#1d2126;--text:#e6e8eb;--quiet:#a4acb6;--line:#3b424b;
--grid:#2a3037;--mark:#7ab5f2;--fill:#3d6a99;--bad:#ff9a62;--band:#24452f;--middle:#7cc58f}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem clamp(.8rem,3vw,2.2rem) 4rem;max-width:84rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;
overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.2;margin:.4rem 0 .6rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.6rem 0 .5rem;padding-top:.5rem;border-top:2px solid var(--line)}
h3{font-size:1.08rem;margin:1.6rem 0 .4rem}h4{font-size:1rem;margin:0 0 .3rem}
p,ul,ol,dl{max-width:52rem;margin:.5rem 0}
small{font-size:.8rem;font-weight:normal;color:var(--quiet)}
a{color:var(--mark)}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:0;list-style:none;max-width:none}
.name{overflow-wrap:anywhere;unicode-bidi:isolate}
.note,caption,figcaption{color:var(--quiet);font-size:.88rem}
.name b,b.name{color:var(--text)}
.verdict{font-size:1.08rem;padding:.7rem 1rem .7rem 2.2rem;background:var(--card);border-left:5px solid var(--mark)}
.verdict li{margin:.25rem 0}
.warnings{padding:.6rem 1rem .6rem 2.2rem;border:1px solid var(--bad);border-left-width:5px}
.warning,.warnings b{color:var(--bad)}
dl{display:grid;grid-template-columns:fit-content(14rem) minmax(0,1fr);gap:.15rem 1rem;font-size:.92rem}
dt{color:var(--quiet);overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere}dd dl{margin:0}
pre,code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.6rem 0;max-width:100%}
table{border-collapse:separate;border-spacing:0;font-size:.9rem}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.32rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{vertical-align:bottom;border-bottom:2px solid var(--quiet);max-width:11rem;min-width:4.6rem}
.wide{font-size:.85rem}.wide th,.wide td{padding:.3rem .38rem}.wide small{font-size:.77rem}
.wide thead th.name{min-width:5.6rem}
thead small,tbody th small,td small{display:block}.words{min-width:9rem}
tbody th{font-weight:600;min-width:8rem;max-width:13rem}
.wide tbody th,.wide .corner,.plots tbody th{position:sticky;left:0;background:var(--back);z-index:1}
.number{white-space:nowrap;font-variant-numeric:tabular-nums}
.number small{white-space:normal}
.long{min-width:13rem;max-width:30rem;overflow-wrap:anywhere}
.empty{color:var(--quiet)}
.mark{font-weight:600}.mark.outside{color:var(--bad)}.mark.inside{color:var(--middle)}
.kind{white-space:nowrap}
tbody.floor th,tbody.floor td{background:var(--band);border-bottom:2px solid var(--quiet)}
tbody.floor small{color:inherit}
tbody.calibrations th,tbody.calibrations td,tr.quiet th,tr.quiet td{color:var(--quiet);font-weight:normal}
tbody.calibrations tr:first-child>*{border-top:2px solid var(--quiet)}
th button{font:inherit;color:inherit;background:none;border:1px solid var(--line);border-radius:.25rem;padding:0 .3rem;
margin-left:.25rem;cursor:pointer}
th[aria-sort] button{border-color:var(--mark);color:var(--mark)}
:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
.row{display:flex;flex-wrap:wrap;gap:1.1rem 1.3rem;align-items:flex-start;margin:.6rem 0}
figure{margin:0}
.panel{max-width:100%}.panel figcaption{overflow-wrap:anywhere}
.panel:not(.strip) figcaption small,.panel figcaption .mark{display:block;font-size:.82rem}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .8rem;font-size:.85rem;color:var(--text)}
svg{display:block;max-width:100%;height:auto;font:11px system-ui,"Segoe UI",Roboto,Arial,"DejaVu Sans",sans-serif;
overflow:visible}
svg.key{display:inline-block;vertical-align:middle}
svg text{fill:var(--text)}svg .tick,svg .note,svg .quiet{fill:var(--quiet)}svg .name{fill:var(--quiet)}
svg .axis{stroke:var(--quiet)}svg .grid{stroke:var(--grid)}svg .frame{fill:none;stroke:var(--quiet)}
svg .band{fill:var(--band)}svg .middle{stroke:var(--middle);stroke-dasharray:3 2}
svg .diagonal{stroke:var(--quiet);stroke-dasharray:4 3}
svg .whisker{stroke:var(--mark);stroke-width:2}svg .solid{fill:var(--mark)}
svg .hollow{fill:var(--back);stroke:var(--mark);stroke-width:1.6}
svg .whisker.bad{stroke:var(--bad)}svg .solid.bad{fill:var(--bad)}svg .hollow.bad{stroke:var(--bad)}
svg .fill{fill:var(--fill)}svg .outline{fill:none;stroke:var(--text);stroke-width:1.3}
svg .curve{fill:none;stroke-width:1.7;stroke:var(--mark);stroke-linejoin:round}
svg .line1{stroke:var(--bad);stroke-dasharray:6 3}svg .line2{stroke:var(--middle);stroke-dasharray:2 2}
svg .line3{stroke:var(--text);stroke-dasharray:8 3 2 3}
svg .dot{stroke:none;fill:var(--mark)}
svg .dot.line1{fill:var(--bad)}svg .dot.line2{fill:var(--middle)}svg .dot.line3{fill:var(--text)}
.crisp{image-rendering:pixelated}
img{max-width:100%;height:auto;display:block}
.plots td,.plots th{border:0;padding:.15rem .35rem}.plots svg{min-width:150px}
.texts{flex:1 1 19rem;min-width:0;max-width:40rem}
pre.text{background:var(--card);padding:.5rem .7rem;margin:.35rem 0;white-space:pre-wrap;font-size:.82rem;
line-height:1.4}
pre.text i{font-style:normal;color:var(--quiet);opacity:.75}
tr.nearest th,tr.nearest td{border-bottom:2px solid var(--line)}tr.sample th,tr.sample td{border-bottom:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));gap:1rem;align-items:start}
.card{background:var(--card);padding:.8rem 1rem;min-width:0}.card p{margin:.3rem 0;font-size:.92rem}
.card h4 small{margin-left:.3rem}.card td small{display:inline;margin-left:.35rem}.card thead th{min-width:0}
.card tbody th{min-width:6rem;max-width:11rem}.card .long{min-width:0}.card th,.card td{padding:.2rem .45rem}
@media (max-width:36rem){dl{grid-template-columns:minmax(0,1fr)}dd{margin-left:1rem}
dd dl{grid-template-columns:fit-content(8rem) minmax(0,1fr)}dd dd{margin-left:0}}
@media print{
@page{size:A4 landscape;margin:11mm}
:root{color-scheme:light;--back:#fff;--card:#f6f7f9;--text:#000;--quiet:#4a525c;--line:#c5cad1;--grid:#e3e6ea;
--mark:#1c5fa8;--fill:#9cc0e4;--bad:#a83a00;--band:#cfe6d4;--middle:#2e6b3f}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
html{font-size:11.5px}
body{max-width:none;padding:0;font-size:9.5pt}
nav,th button{display:none}
.scroll{overflow:visible}
h2,h3,h4,caption,.note{break-after:avoid}
.row{gap:.6rem .6rem}
figure,.card,tr,.verdict{break-inside:avoid}
thead{display:table-header-group}
table{width:100%;font-size:8pt}
table.wide{font-size:min(8pt,calc(96pt / var(--columns,12)))}
table.wide small{font-size:.9em}
table.wide th,table.wide td{padding:.25em .35em;min-width:0}
.wide tbody th,.wide .corner,.plots tbody th{position:static}
.number,.number small,.kind{white-space:normal}
.plots{table-layout:fixed}.plots svg{min-width:0;width:100%}
.long{min-width:0}
.cards{grid-template-columns:1fr 1fr}
}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.querySelector("tbody.models");
  const heads = [...table.tHead.rows[0].cells];
  if (!body || body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    if (column && ![...body.rows].some((row) => row.cells[column].dataset.sort !== undefined)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "↕";
    button.setAttribute("aria-label", "sort by " + (head.dataset.key || "name"));
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const sign = down ? -1 : 1;
      const number = (cell) => cell.dataset.sort === undefined ? NaN
        : Number(cell.dataset.sort.replace("inf", "Infinity"));
      const compare = (a, b) => {
        if (!column) return sign * a.dataset.row.localeCompare(b.dataset.row);
        const x = a.cells[column], y = b.cells[column];
        const rank = Number(x.dataset.rank || 0) - Number(y.dataset.rank || 0);
        if (rank) return rank;
        const u = number(x), v = number(y);
        if (Number.isNaN(u) || Number.isNaN(v)) return Number.isNaN(u) - Number.isNaN(v);
        return u === v ? 0 : sign * (u < v ? -1 : 1);
      };
      body.append(...[...body.rows].sort(compare));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
"""
"""Sorts the models of a leaderboard by a column. Bounds and estimates stay after exact likelihoods, whichever way."""


def policy() -> str:
    """The content security policy: styles and pictures of the page itself, this script, and nothing from anywhere."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
