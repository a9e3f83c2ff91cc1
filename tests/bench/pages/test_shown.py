"""What no page shows: characters that control something."""

from markupsafe import Markup

from bench.pages.jinja import page_environment


def test_control_characters_are_shown_as_escapes_and_markup_is_kept():
    page = page_environment().from_string("{{ text }}|{{ markup }}|{{ number }}")
    shown = page.render(text="red \x1b[31m <b> \u202e\ud800", markup=Markup("<b>a\u00a0b</b>"), number=3)
    assert shown == r"red \x1b[31m &lt;b&gt; \u202e\ud800|<b>a" + "\u00a0b</b>|3"
