"""
Reads what a reply to a message says, and whether its code allows that.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice

from remotestatus.evaluate.reply_codes import read_code
from remotestatus.model.durations import parse_duration
from remotestatus.model.replies import Refusal, Reply, ReplyCode, ReplyCommand

_CODE = re.compile(r"\b(?=([A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})\b)", re.IGNORECASE)
"""Every text that looks like a code, also overlapping ones, as names may look like codes."""

_CODES_TRIED = 200
_LONGEST_TEXT = 20_000
_LONGEST_SPAN = timedelta(days=30)


def check_reply(
    text: str, key: bytes, find: Callable[[int], ReplyCode | None], now: datetime
) -> tuple[Reply, ReplyCode] | Refusal:
    """Read a reply and look up its code with `find`, or return why it is refused."""
    answer = read_reply(text, key)
    if answer is None:
        return Refusal.UNREADABLE
    number = read_code(key, answer.code)
    if number is None:
        return Refusal.FORGED
    code = find(number)
    if code is None or not now < code.expires:
        return Refusal.EXPIRED
    if code.used:
        return Refusal.REPLAYED
    if answer.command is ReplyCommand.MUTE and answer.name not in {name for _, name in code.subjects}:
        return Refusal.FOREIGN
    return answer, code


def is_meant(text: str) -> bool:
    """Whether a text begins with a command; others, such as our own messages, are no replies."""
    words = _first_line(text).split()
    return bool(words) and words[0].lower().rstrip(":,.") in set(ReplyCommand)


def read_reply(text: str, key: bytes) -> Reply | None:
    """
    Read a reply: its first line has the command; the code is there or below, perhaps quoted.

    Its code is the first one signed with this key, else the first text that looks like one. None without a code or a
    known command.
    """
    found = [match[1].upper() for match in islice(_CODE.finditer(text[:_LONGEST_TEXT]), _CODES_TRIED)]
    code = next((one for one in found if read_code(key, one) is not None), next(iter(found), None))
    words = [word for word in _first_line(text).split() if word.upper() != code]
    if code is None or not words:
        return None
    command, rest = words[0].lower().rstrip(":,."), words[1:]
    try:
        match command, rest:
            case "ack", []:
                return Reply(ReplyCommand.ACK, code)
            case "ack", [lasting]:
                return Reply(ReplyCommand.ACK, code, lasting=_read_span(lasting))
            case "mute", [name, lasting]:
                return Reply(ReplyCommand.MUTE, code, name, _read_span(lasting))
            case "status", []:
                return Reply(ReplyCommand.STATUS, code)
    except ValueError:
        return None
    return None


def _read_span(text: str) -> timedelta:
    span = parse_duration(text)
    if span > _LONGEST_SPAN:
        raise ValueError("longer than an answer may ask for")
    return span


def _first_line(text: str) -> str:
    lines = (line.strip() for line in text[:_LONGEST_TEXT].splitlines())
    return next((line for line in lines if line and not line.startswith(">")), "")
