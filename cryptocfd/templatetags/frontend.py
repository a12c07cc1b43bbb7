"""Template tags of the pages: the import map that lets browser modules be imported by their package names."""

import json

from django import template
from django.template import Context
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Import name -> file under static/vendor; static/vendor/LICENSES.md lists versions and licences.
VENDOR_MODULES = {
    "preact": "preact.mjs",
    "preact/hooks": "preact-hooks.mjs",
    "@preact/signals": "preact-signals.mjs",
    "@preact/signals-core": "preact-signals-core.mjs",
    "htm": "htm.mjs",
    "lightweight-charts": "lightweight-charts.mjs",
}


@register.simple_tag(takes_context=True)
def import_map(context: Context) -> SafeString:
    """Render the page's import map. It is an inline script, so it carries the nonce of the response."""
    imports = {name: static(f"vendor/{file}") for name, file in VENDOR_MODULES.items()}
    # Names and paths are ours; "<" is escaped all the same, so that no value can end the element.
    body = json.dumps({"imports": imports}).replace("<", "\\u003C")
    return format_html(
        '<script type="importmap" nonce="{}">{}</script>',
        context.get("CSP_NONCE", ""),
        mark_safe(body),  # noqa: S308 - JSON made above, with "<" escaped.
    )
