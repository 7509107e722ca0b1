"""The texts of reports: one TOML file for each language, all with the same keys."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.recording.messages import SENTENCES, Message

if TYPE_CHECKING:
    from handshake_lab.recording.history import Cause
    from handshake_lab.recording.messages import Value
    from handshake_lab.verdict.judge import Verdict

#: The languages there are, by their BCP 47 names.
LANGUAGES = ("en", "ko")


class Words:
    """The texts of one language: ``words("page.lost")``.

    Args:
        lang: One of `LANGUAGES`.

    Raises:
        UsageError: There is no such language.
    """

    def __init__(self, lang: str) -> None:
        if lang not in LANGUAGES:
            raise UsageError("--lang", lang, f"is not one of {', '.join(LANGUAGES)}", "--lang ko")
        import tomllib  # noqa: PLC0415 - needed for reports only

        self.lang = lang
        self._table = flat(tomllib.loads((files(__package__) / f"{lang}.toml").read_text("utf-8")))
        if lang == "en":
            self._table |= {f"message.{kind}": sentence for kind, sentence in SENTENCES.items()}

    def __call__(self, key: str, **values: object) -> str:
        """The text of a dotted key, with ``{name}`` replaced by the value of that name."""
        text = self._table[key]
        return text.format(**values) if values else text

    @property
    def keys(self) -> frozenset[str]:
        """All keys."""
        return frozenset(self._table)

    def template(self, key: str) -> str:
        """The text of a key, with its ``{name}`` unreplaced."""
        return self._table[key]

    def message(self, message: Message | str) -> str:
        """The text of a finding, a cause or an objection; the text of a program is returned unchanged."""
        if isinstance(message, str):
            return message
        return self(f"message.{message.code}", **{name: self._value(value) for name, value in message.values.items()})

    def caused(self, cause: Cause, arrow: str) -> str:
        """Why a transition happened, with the number of its segment: ``received ACK #9``, ``connect() → #1``.

        Args:
            cause: The cause.
            arrow: The text between a call or a timer and the segment that it sent.
        """
        text = self.message(cause.message)
        if cause.segment is None:
            return text
        if cause.kind in ("call", "timer"):
            return f"{text} {arrow} #{cause.segment}"
        if isinstance(cause.message, Message) and isinstance(what := cause.message.values.get("what"), str):
            # The number belongs to the segment's name, which is not the last word in every language.
            what = self("states.numbered", what=what, number=cause.segment)
            return self.message(Message(cause.message.code, {**cause.message.values, "what": what}))
        return self("states.numbered", what=text, number=cause.segment)

    def summary(self, verdict: Verdict) -> str:
        """A verdict in one line."""
        if verdict.message is None and self.lang != "en":
            return self("verdict.ok" if verdict.ok else "verdict.not_ok")
        return self.message(verdict.message or verdict.summary)

    def _value(self, value: Value) -> str | int:
        return self.message(value) if isinstance(value, Message) else value


@cache
def words(lang: str = "en") -> Words:
    """The texts of a language; the file is read once."""
    return Words(lang)


def flat(table: dict[str, object], prefix: str = "") -> dict[str, str]:
    """A table whose keys are the ways to the texts of nested tables: ``group.key``."""
    found: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = str(value)
    return found
