"""How the page looks, and the few lines that draw its charts: constants, so that the page's policy can name them by their digest."""

STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5a6473;--line:#d9dee6;--page:#fff;--card:#f6f8fa;--up:#0b7a5c;--down:#b3261e;--link:#1d5fd1}
@media (prefers-color-scheme:dark){:root{--ink:#e3e8ef;--soft:#9aa5b4;--line:#333c49;--page:#11151b;--card:#1a2029;--up:#4cc9a0;--down:#ff8a84;--link:#7fb0ff}}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--page:#fff;--card:#fff;--up:#0b7a5c;--down:#b3261e}nav{display:none}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:76rem;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .25rem;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:60rem}.soft,figcaption,caption{color:var(--soft)}.lead{font-size:1.1rem}
a{color:var(--link)}nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;padding:0;list-style:none}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.5rem;margin:.75rem 0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.4rem .6rem}
dt{color:var(--soft);font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}caption{text-align:left;padding:.25rem 0}
.quiet caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}.wide{position:relative}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;max-width:26rem;overflow-wrap:break-word}
thead th{color:var(--soft);font-weight:600;white-space:nowrap}tbody th{font-weight:500}
.n{text-align:right;white-space:nowrap}.up{color:var(--up)}.down{color:var(--down)}
.months th,.months td{padding-inline:.45rem}.months .up{background:rgba(22,163,127,.12)}.months .down{background:rgba(229,72,77,.12)}
figure{margin:.75rem 0}figcaption{font-size:.85rem}.chart{width:100%}
@media (max-width:40rem){body{padding:.5rem;font-size:14px}th,td{padding:.2rem .4rem}.wide{margin-inline:-.5rem;padding-inline:.5rem}}
"""

SCRIPT = """
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  // the buttons are named one by one: plotly's own choice has one that sends the chart to its makers
  const buttons = [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = {responsive: true, displaylogo: false, plotlyServerURL: "", modeBarButtons: buttons};
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dress = (layout) => {
    const changes = {"font.color": color("--ink"), "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": color("--soft"), "modebar.activecolor": color("--ink"), "hoverlabel.bgcolor": color("--card"), "hoverlabel.font.color": color("--ink")};
    for (const key of Object.keys(layout)) {
      if (!/^[xy]axis/.test(key)) continue;
      for (const part of ["gridcolor", "linecolor", "zerolinecolor"]) changes[key + "." + part] = color("--line");
    }
    return changes;
  };
  const dressed = (layout) => {
    for (const [path, value] of Object.entries(dress(layout))) {
      const keys = path.split("."), last = keys.pop();
      keys.reduce((part, key) => (part[key] ??= {}), layout)[last] = value;
    }
    return layout;
  };
  const draw = (node) => {
    const chart = charts[node.id];
    if (!chart || node.dataset.drawn) return;
    node.dataset.drawn = "yes";
    Plotly.newPlot(node, chart.data, dressed(chart.layout), config);
  };
  const nodes = [...document.querySelectorAll(".chart")];
  const seen = new IntersectionObserver((found) => {
    for (const each of found) if (each.isIntersecting) { seen.unobserve(each.target); draw(each.target); }
  }, {rootMargin: "400px"});
  nodes.forEach((node) => seen.observe(node));
  addEventListener("beforeprint", () => nodes.forEach(draw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const node of nodes) if (node.dataset.drawn) Plotly.relayout(node, dress(charts[node.id].layout));
  });
})();
"""
