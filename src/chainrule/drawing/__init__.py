"""Charts, tables, pictures and pages as data, and what draws them: SVG, HTML, matplotlib.

`chart` says what a chart is, `blocks` what a page is made of; `svg`, `html` and `axes` draw it. A
new kind of mark or block is a record with a drawing function beside the others.
"""
