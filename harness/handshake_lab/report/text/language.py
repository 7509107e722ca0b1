"""The default language of reports: that of the locale."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from handshake_lab.report.text.translations import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The variables that select the language of messages; the first one that is set is used
#: (POSIX.1-2017, XBD section 8.2, Internationalization Variables).
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def locale_language(environment: Mapping[str, str] | None = None) -> str:
    """The language of the locale: "ko" for ``LANG=ko_KR.UTF-8``.

    Args:
        environment: The variables; those of this process by default.

    Returns:
        One of `handshake_lab.report.text.translations.LANGUAGES`; "en" if there is no translation.
    """
    variables = os.environ if environment is None else environment
    locale = next((value for name in _VARIABLES if (value := variables.get(name))), "")
    # language[_territory][.codeset][@modifier]
    language = locale.partition("@")[0].partition(".")[0].partition("_")[0].lower()
    return language if language in LANGUAGES else "en"
