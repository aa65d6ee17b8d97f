#!/usr/bin/env python3
"""Draws the mean absolute error by lead at the stations that judge, from the table of the model's card.

    docs/figures/error_by_lead.py            writes docs/figures/error-by-lead-{light,dark}.svg
    docs/figures/error_by_lead.py --check    fails when they are not those of the card
"""

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
CARD = FOLDER.parent.parent / "models" / "README.md"

WIDTH, HEIGHT = 860, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 220, 54, 46

# Background, text, faint text, grid, and a colour for each series.
THEMES = {
    "light": ("#ffffff", "#1b2733", "#5b6b7a", "#e3e8ee", ("#0b6bcb", "#b4690e", "#8a94a0")),
    "dark": ("#0d1117", "#e6edf3", "#9aa7b4", "#262d36", ("#58a6ff", "#e3a04f", "#8b949e")),
}
NAMES = ("forecastd", "same time yesterday", "same as now")


def by_lead(card):
    """Lead, then the errors of model, same time yesterday and persistence, °C."""
    row = re.compile(r"^\| (\d+) h \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| [\d.]+ % \|$", re.MULTILINE)
    rows = [(int(lead), float(model), float(yesterday), float(persistence))
            for lead, model, persistence, yesterday in row.findall(card)]
    if [lead for lead, *_ in rows] != list(range(1, 25)):
        sys.exit(f"{CARD}: no table of the errors at 1 to 24 h")
    return rows


def draw(rows, theme):
    background, text, faint, grid, colours = THEMES[theme]
    top_c = 6
    def x(lead):
        return LEFT + (lead - 1) / 23 * (WIDTH - LEFT - RIGHT)
    def y(error):
        return HEIGHT - BOTTOM - error / top_c * (HEIGHT - TOP - BOTTOM)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-labelledby="title">',
        '<title id="title">Mean absolute error of the forecast temperature by lead, at 41 stations never seen</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{background}"/>',
        '<g font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="13">',
        f'<text x="{LEFT - 34}" y="28" fill="{text}" font-size="16" font-weight="600">'
        'Mean absolute error at 41 stations never seen, °C</text>',
    ]
    for error in range(0, top_c + 1):
        out.append(f'<path d="M{LEFT} {y(error):.1f}H{WIDTH - RIGHT}" stroke="{grid}"/>')
        out.append(f'<text x="{LEFT - 10}" y="{y(error) + 4:.1f}" text-anchor="end" fill="{faint}">{error}</text>')
    for lead in (1, 6, 12, 18, 24):
        out.append(f'<text x="{x(lead):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="{faint}">{lead} h</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle" fill="{faint}">'
               'hours ahead</text>')
    labels = []
    for index, (name, colour) in reversed(list(enumerate(zip(NAMES, colours)))):
        points = " ".join(f"{x(row[0]):.1f},{y(row[index + 1]):.1f}" for row in rows)
        width = 3 if index == 0 else 2
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" '
                   'stroke-linejoin="round" stroke-linecap="round"/>')
        labels.append([y(rows[-1][index + 1]) + 4, name, colour, rows[-1][index + 1]])
    # Names that would lie on each other move apart.
    labels.sort(key=lambda label: label[0])
    for above, label in zip(labels, labels[1:]):
        label[0] = max(label[0], above[0] + 17)
    lift = (labels[-1][0] - labels[0][0]) / 2 - 10
    for place, name, colour, error in labels:
        weight = ' font-weight="600"' if name == NAMES[0] else ""
        out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{place - max(lift, 0) / 2:.1f}" fill="{colour}"{weight}>'
                   f'{name}  {error:.2f} °C</text>')
    out.append("</g></svg>")
    return "\n".join(out) + "\n"


def main():
    rows = by_lead(CARD.read_text(encoding="utf-8"))
    for theme in THEMES:
        path = FOLDER / f"error-by-lead-{theme}.svg"
        drawn = draw(rows, theme)
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text(encoding="utf-8") != drawn:
                sys.exit(f"{path} is not that of the card: run {Path(__file__).name}")
        else:
            path.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
