"""The colours of pages and pictures.

There are light and dark colours; every pair of text and background has a contrast of at least 4.5 to 1.
"""

from __future__ import annotations

_STATES = {
    "CLOSED": ("#8a939e", "#7d8794"),
    "LISTEN": ("#22a2b8", "#3bb6cb"),
    "SYN-SENT": ("#e0b400", "#e8c33d"),
    "SYN-RECEIVED": ("#ee8b1d", "#f29a3a"),
    "ESTABLISHED": ("#2f9e44", "#45b85a"),
    "FIN-WAIT-1": ("#3b82f6", "#5b9bff"),
    "FIN-WAIT-2": ("#6d5ef0", "#8d80ff"),
    "CLOSING": ("#d6409f", "#e561b3"),
    "TIME-WAIT": ("#a04bd3", "#b872e2"),
    "CLOSE-WAIT": ("#d9730d", "#e58a33"),
    "LAST-ACK": ("#dc3d3d", "#ee6363"),
}

#: The colours on light paper.
LIGHT = {
    "paper": "#ffffff",
    "panel": "#f5f7f9",
    "ink": "#16202b",
    "dim": "#586472",
    "rule": "#d5dbe2",
    "syn": "#8a6a00",
    "fin": "#1d5fd0",
    "rst": "#c22222",
    "data": "#2b3947",
    "good": "#1d7a33",
    "bad": "#c22222",
    "left": "#1d5fd0",
    "right": "#c25b00",
}
_DARK = {
    "paper": "#12181f",
    "panel": "#1b232c",
    "ink": "#e8edf2",
    "dim": "#9aa7b5",
    "rule": "#33404d",
    "syn": "#f0cc55",
    "fin": "#7db1ff",
    "rst": "#ff7b7b",
    "data": "#c6d1dc",
    "good": "#5fce7a",
    "bad": "#ff7b7b",
    "left": "#7db1ff",
    "right": "#ffa14d",
}


def _variables(dark: bool) -> str:
    colours = dict(_DARK if dark else LIGHT) | {f"s-{name}": pair[dark] for name, pair in _STATES.items()}
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


#: All colours on light paper, those of states by ``s-`` and their names.
ON_PAPER = LIGHT | {f"s-{name}": light for name, (light, _) in _STATES.items()}

#: The colours of a page: the scheme that the reader's system prefers; printed pages are light.
PAGE_CSS = (
    f":root{{color-scheme:light dark;{_variables(dark=False)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(dark=True)}}}}}"  # printed pages are light
    "@media print{:root{color-scheme:light}}"
)

#: The colours of states as backgrounds, for the keys in tables.
KEY_CSS = "".join(f".b-{name}{{background:var(--s-{name})}}" for name in _STATES)

#: The colours of a separate picture: light, as for slides.
EXPORT_CSS = f"svg{{{_variables(dark=False)}}}"

_MONO = 'font-family:"DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace'

#: The style of ladders and diagrams.
SVG_CSS = (
    'svg{font:13px "DejaVu Sans","Segoe UI",system-ui,"Noto Sans KR","Noto Sans CJK KR",sans-serif}'
    "text{fill:var(--ink)}.paper{fill:var(--paper)}"
    ".start{text-anchor:start}.mid{text-anchor:middle}.end{text-anchor:end}"
    ".off{display:none}.host{font-weight:700;font-size:15px}.dim{fill:var(--dim);font-size:12px}"
    f".mono,.time,.label{{{_MONO};font-size:12px}}"
    f".name{{{_MONO};font-weight:700;font-size:12px}}"
    ".time{fill:var(--dim);text-anchor:end}"
    ".middle{stroke:var(--rule);stroke-dasharray:2 5}.nobody{fill:var(--rule)}"
    ".tick{stroke:var(--ink);stroke-width:1.5}.inferred .bar{opacity:.45}.inferred .name{font-style:italic}"
    ".objected .name,.parts .name{fill:var(--bad)}.parts .name{text-decoration:underline}"
    ".behind{fill:var(--paper)}"
    ".wait{fill:var(--dim);font-size:12px;font-style:italic}"
    ".zigzag{fill:none;stroke:var(--paper);stroke-width:4}"
    ".arrow{stroke-width:1.6}.hit{stroke:transparent;stroke-width:16}"
    ".again{fill:none;stroke:var(--dim);stroke-width:1.3;stroke-dasharray:2 3}"
    ".mark{fill:var(--bad);stroke:none}.cross{fill:none;stroke:var(--bad);stroke-width:2.6}"
    + "".join(
        f".k-{kind} .arrow{{stroke:var(--{kind})}}.k-{kind} :is(.head,.label){{fill:var(--{kind})}}"
        for kind in ("syn", "fin", "rst", "data")
    )
    + ".lost .arrow{stroke-dasharray:5 3}"
    + ".ignored .head{fill-opacity:.25}"
    + "".join(f".s-{name}{{fill:var(--s-{name})}}" for name in _STATES)
)

#: The style of the state diagram. An edge taken by both sides shows both colours, one inside the other.
DIAGRAM_CSS = (
    ".edge path{fill:none}.edge .rest{stroke:var(--dim);stroke-width:1.1;stroke-dasharray:5 4}"
    ".edge .left,.edge .right{display:none}"
    ".by-left>.left,.by-right>.right{display:inline}.by-left>.rest,.by-right>.rest{display:none}"
    ".edge .left{stroke:var(--left);stroke-width:3}.edge .right{stroke:var(--right);stroke-width:3}"
    ".by-left.by-right>.left{stroke-width:6}.by-left.by-right>.right{stroke-width:2}"
    ".rest{marker-end:url(#to-rest)}.left{marker-end:url(#to-left)}.right{marker-end:url(#to-right)}"
    ".head-rest{fill:var(--dim)}.head-left{fill:var(--left)}.head-right{fill:var(--right)}"
    ".node .box{fill:var(--panel);stroke:var(--rule)}"
    ".node.by-left .box{stroke:var(--left);stroke-width:2}.node.by-right .box{stroke:var(--right);stroke-width:2}"
    ".node.by-left.by-right .box{stroke:var(--ink);stroke-width:2}"
    ".event,.action{text-anchor:middle;font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:4px}"
    ".action{fill:var(--dim)}"
)

#: The colours of curves, by their names; those of one plot also differ in shape or dashes.
CURVES = {
    "data": "data", "retransmission": "bad", "lost": "bad", "ack": "left", "sack": "good", "window_edge": "right",
    "cwnd": "left", "ssthresh": "right", "polled": "ink",
    "srtt": "left", "measured": "dim", "rto": "right",
    "inflight": "left", "window": "right",
    "throughput": "right", "goodput": "left",
    "queue": "left",
}  # fmt: skip

#: The curves that are drawn with dashes.
DASHED = ("ssthresh", "rto", "window", "window_edge", "throughput")

#: The style of plots.
PLOT_CSS = (
    ".grid{stroke:var(--rule);stroke-width:1}.frame{stroke:var(--ink);fill:none}"
    ".curve{fill:none;stroke-width:1.6}.curve.bars{stroke-width:2}.curve.points{stroke-width:1.1}"
    + "".join(f".c-{name}{{stroke:var(--{colour})}}" for name, colour in CURVES.items())
    + ".c-lost{stroke-width:2.6!important}"
    + ",".join(f".c-{name}" for name in DASHED)
    + "{stroke-dasharray:5 3}"
)
