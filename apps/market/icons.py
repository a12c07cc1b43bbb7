"""Draws one small SVG per coin: a disc in a colour of its own with the coin's letters. No network, no files, no trademarks."""

from zlib import crc32

_LETTERS_MAX = 4


def icon_svg(base: str) -> str:
    """Return the icon of a coin; the same coin always looks the same."""
    letters = base.removeprefix("1000")[:_LETTERS_MAX]
    seed = crc32(base.encode())
    hue = seed % 360
    # A second hue near the first one, for a gradient that tells coins of similar colour apart.
    hue_second = (hue + 25 + seed // 360 % 50) % 360
    font_size = {1: 30, 2: 26, 3: 21}.get(len(letters), 17)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" '
        f'aria-label="{base}">'
        '<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">'
        f'<stop offset="0" stop-color="hsl({hue} 62% 46%)"/>'
        f'<stop offset="1" stop-color="hsl({hue_second} 66% 34%)"/>'
        "</linearGradient></defs>"
        '<circle cx="32" cy="32" r="31" fill="url(#g)"/>'
        '<text x="32" y="32" fill="#fff" text-anchor="middle" dominant-baseline="central" '
        f'font-family="system-ui,sans-serif" font-weight="700" font-size="{font_size}">{letters}</text>'
        "</svg>"
    )
