"""A bar chart of the comparison as SVG: for each figure a panel, for each contender a bar."""

from html import escape

WIDTH, LABEL, BAR, GAP = 860, 130, 18, 34
COLOURS = {"rum": "#c0392b", "rum-mysql": "#c0392b", "direct": "#bbbbbb"}


def draw(rows, title):
    out, y = [], 58
    for _, figure, row in rows:
        out.append('<text x="10" y="%d" font-weight="bold">%s%s</text>' % (
            y, escape(figure.label), " (more is better)" if figure.high else ""))
        y += 8
        largest = max((middle for _, _, middle, _, _ in row), default=0) or 1
        for name, best, middle, _, _ in row:
            width = (WIDTH - LABEL - 150) * middle / largest
            out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (
                LABEL - 8, y + BAR - 5, escape(name)))
            out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
                LABEL, y, width, BAR - 3, COLOURS.get(name, "#5d7fa3")))
            # The least disturbed run as a mark.
            at = LABEL + (WIDTH - LABEL - 150) * best / largest
            out.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#000"/>' % (
                at, y - 1, at, y + BAR - 2))
            out.append('<text x="%.1f" y="%d">%.*f</text>' % (
                max(at, LABEL + width) + 6, y + BAR - 5, figure.digits, middle))
            y += BAR
        y += GAP
    head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
            'font-family="sans-serif" font-size="12">'
            '<rect width="100%%" height="100%%" fill="#fff"/>'
            '<text x="10" y="22" font-size="15">%s</text>'
            '<text x="10" y="38" fill="#666">bar: median; mark: least disturbed run</text>\n')
    return head % (WIDTH, y, escape(title)) + "\n".join(out) + "\n</svg>\n"
