"""The one style sheet of all pages: light, dark, on a phone and on paper, with nothing fetched."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #ffffff; --ink: #1d1f23; --soft: #595d66; --rule: #d9d9d3;
  --error: #a8201a; --error-tint: #fbeceb; --warning: #7a5200; --warning-tint: #fbf3df;
  --good: #1c6534; --good-tint: #e8f4ec; --bar: #4a6fa5; --cut: #b5541c; --link: #1f4f8f; --code: #f1f1ec;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --card: #1e2126; --ink: #e6e6e3; --soft: #a5a9b1; --rule: #3a3e45;
    --error: #ff9c93; --error-tint: #3a1f1e; --warning: #ecc069; --warning-tint: #362b15;
    --good: #8fd3a4; --good-tint: #1b3223; --bar: #7ea3d9; --cut: #e58a52; --link: #9dc1f5; --code: #282c32;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere; }
header, main, footer { max-width: 54rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2rem); }
header { padding-top: 2.25rem; }
main { padding-bottom: 2rem; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
h1, h2, h3, h4 { line-height: 1.2; text-wrap: balance; margin: 0; font-weight: 650; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.125rem); letter-spacing: -.015em; }
h2 { font-size: 1.3125rem; letter-spacing: -.01em; margin: 2.75rem 0 .875rem; }
h3, h4 { font-size: 1rem; }
p { margin: .375rem 0; }
a { color: var(--link); }
.eyebrow, .soft, caption { color: var(--soft); }
.eyebrow { margin: 0 0 .25rem; font-size: .875rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .25rem .75rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: .875em/1.45 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
.verdict { margin: 1.25rem 0 0; padding: 1rem 1.25rem; border-left: .375rem solid; border-radius: .25rem; }
.verdict h2 { margin: 0 0 .25rem; font-size: 1.5rem; }
.verdict p { color: var(--ink); }
.verdict.refused { color: var(--error); background: var(--error-tint); }
.verdict.accepted { color: var(--good); background: var(--good-tint); }
.verdict.undecided { color: var(--warning); background: var(--warning-tint); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .625rem; }
.figures { margin: 1rem 0 0; }
.figures div { padding: .625rem .875rem; border: 1px solid var(--rule); border-radius: .375rem; }
.figures div { background: var(--card); }
.figures dt, .figures dd { display: block; max-width: none; padding: 0; border: 0; }
.figures dt { font-size: .8125rem; }
.figures dd { font-size: 1.125rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.group { margin: 0 0 1rem; background: var(--card); border: 1px solid var(--rule); border-radius: .375rem; }
.group > .head { padding: .875rem 1.125rem .75rem; }
.group .head h3 { display: flex; flex-wrap: wrap; gap: .25rem .625rem; align-items: baseline; }
.count { font-size: .8125rem; font-weight: 600; padding: .0625rem .5rem; border-radius: 1rem; white-space: nowrap; }
.error .count { color: var(--error); background: var(--error-tint); }
.warning .count { color: var(--warning); background: var(--warning-tint); }
.head code { margin-left: auto; font-weight: 400; }
.head p { font-size: .9375rem; }
.places { margin: 0; padding: 0; list-style: none; }
.places li { padding: .5rem 1.125rem; border-top: 1px solid var(--rule); font-size: .9375rem; }
.place { font-weight: 600; }
.at { color: var(--soft); font-size: .8125rem; }
.excerpt { display: block; margin-top: .25rem; padding: .25rem .5rem; background: var(--code); border-radius: 3px; }
.group .more { margin: 0; padding: .5rem 1.125rem; border-top: 1px solid var(--rule); font-size: .9375rem; }
summary { cursor: pointer; color: var(--link); padding: .5rem 0; }
.group summary { padding: .5rem 1.125rem; border-top: 1px solid var(--rule); font-size: .9375rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem; }
.files, .labels { width: 100%; }
caption { text-align: left; max-width: min(50rem, calc(100vw - 2rem)); font-size: .875rem; padding-bottom: .375rem; }
th, td { text-align: left; vertical-align: baseline; padding: .375rem .875rem .375rem 0; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .8125rem; white-space: nowrap; }
tr { border-bottom: 1px solid var(--rule); }
th.n, td.n { text-align: right; white-space: nowrap; }
td { overflow-wrap: normal; }
.files tbody th { min-width: 9rem; }
.files td:nth-child(2) { white-space: nowrap; }
.scroll + dl { margin-top: 1.5rem; }
.labels td.bars { width: 45%; vertical-align: middle; }
.bars span { display: block; height: .625rem; min-width: 1px; background: var(--bar); }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; margin: 0; }
dt, dd { margin: 0; padding: .3125rem 1.5rem .3125rem 0; border-bottom: 1px solid var(--rule); font-size: .9375rem; }
dt { color: var(--soft); max-width: 17rem; }
figure { margin: 1.75rem 0 .5rem; }
figcaption { color: var(--soft); font-size: .875rem; margin-bottom: .5rem; }
.chart { display: block; width: 100%; height: 216px; overflow: visible; font-size: 12px; }
.chart text { fill: var(--soft); font-variant-numeric: tabular-nums; }
.chart .bar { fill: var(--bar); }
.chart .bar.over { fill: var(--cut); }
.chart .axis { stroke: var(--soft); }
.chart .mark { stroke: var(--cut); stroke-width: 1.5; stroke-dasharray: 5 3; }
.chart text.limit { fill: var(--ink); }
.chart circle.dot { fill: var(--bar); }
.chart circle.dot.second { fill: var(--cut); }
.chart .interval { stroke: var(--bar); stroke-width: 2.5; stroke-linecap: round; }
.chart .grid { stroke: var(--rule); }
.chart .line { fill: none; stroke: var(--bar); stroke-width: 2; stroke-linejoin: round; }
.chart .line.second { stroke: var(--cut); }
.chart .line.faint { stroke: var(--bar); stroke-width: 1.25; opacity: .55; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .875rem; color: var(--soft); }
.key { display: inline-block; width: 1.125rem; height: .25rem; margin-right: .4375rem; vertical-align: middle; }
.key { background: var(--bar); }
.key.second { background: var(--cut); }
.key.faint { opacity: .55; }
tbody th { overflow-wrap: break-word; }
.scroll + .scroll, details + .scroll, .scroll + details, figure + .scroll { margin-top: 1.25rem; }
.scroll + p { margin-top: 1rem; }
.results th, .results td { padding-right: .625rem; }
.metrics, .answers { width: 100%; }
.matrix td { min-width: 2.25rem; padding: .375rem .5rem; }
.matrix td.none { color: var(--soft); }
.matrix th[scope="col"].n { padding: .375rem .5rem; }
.hit-1, .miss-1 { --share: 12%; } .hit-2, .miss-2 { --share: 24%; } .hit-3, .miss-3 { --share: 36%; }
.hit-4, .miss-4 { --share: 48%; } .hit-5, .miss-5 { --share: 60%; }
[class*="hit-"] { background: color-mix(in srgb, var(--good-tint), var(--good) calc(var(--share) / 2)); }
[class*="miss-"] { background: color-mix(in srgb, var(--error-tint), var(--error) calc(var(--share) / 2)); }
.block { margin: .25rem 0; white-space: pre-wrap; }
.replies { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
.replies { border-top: 1px solid var(--rule); }
.answer { padding: .625rem 1.125rem; font-size: .9375rem; }
.answer h4 { font-size: .8125rem; color: var(--soft); display: flex; gap: .5rem; align-items: baseline; }
.count.right { color: var(--good); background: var(--good-tint); }
.count.wrong { color: var(--error); background: var(--error-tint); }
.count.partly { color: var(--warning); background: var(--warning-tint); }
ul.plain { padding-left: 1.125rem; margin: 0; max-width: 42rem; }
ul.plain li { margin: .25rem 0; }
dl + .scroll, dl + ul.plain, .scroll + ul.plain { margin-top: 1rem; }
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; }
  dt { border: 0; padding: .375rem 0 0; font-size: .8125rem; }
  dd { padding: 0 0 .375rem; }
  .group > .head, .places li, .group summary, .group .more, .answer { padding-left: .875rem; padding-right: .875rem; }
  .labels td.bars { width: 30%; }
}
@media print {
  @page { margin: 18mm 16mm; }
  html { font-size: 10pt; }
  body { background: none; }
  header, main, footer { max-width: none; padding: 0; }
  .skip { display: none; }
  .scroll { overflow: visible; }
  h2, h3, .head { break-after: avoid; }
  li, tr, figure, .head, .compared, .figures div { break-inside: avoid; }
  figure > details::details-content, main > section > details::details-content {
    display: block; content-visibility: visible; block-size: auto;
  }
  .matrix td, .key, .bars span, .bar, .verdict, .count, .excerpt {
    -webkit-print-color-adjust: exact; print-color-adjust: exact;
  }
}
"""
