"""
Makes and checks the codes that messages are answered with, and reads what an answer says.

A code is the number of a message with a signature, in 16 letters and digits that can be typed: whoever does not hold
the checker's key cannot make one. What it is good for, and until when, is kept with the history.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice

from remotestatus.model.answers import AnswerCode, AnswerCommand, MessageAnswer, Refusal
from remotestatus.model.durations import parse_duration

_NUMBER = 3
_SIGNATURE = 7
_CODE = re.compile(r"\b(?=([A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})\b)", re.IGNORECASE)
"""All that looks like a code, also where one begins within another: names and outputs of checks may look so too."""

_CODES_TRIED = 200
_LONGEST_TEXT = 20_000
_LONGEST_SPAN = timedelta(days=30)


def write_code(key: bytes, number: int) -> str:
    """The code of a message's number: `ABCD-EFGH-IJKL-MNOP`."""
    raw = number.to_bytes(_NUMBER, "big")
    text = base64.b32encode(raw + _sign(key, raw)).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def read_code(key: bytes, code: str) -> int | None:
    """The number that a code was made of with this key; None for any other text."""
    try:
        raw = base64.b32decode(code.replace("-", "").upper())
    except ValueError:
        return None
    number, signature = raw[:_NUMBER], raw[_NUMBER:]
    return int.from_bytes(number, "big") if hmac.compare_digest(signature, _sign(key, number)) else None


def _sign(key: bytes, number: bytes) -> bytes:
    return hmac.new(key, b"answer " + number, hashlib.sha256).digest()[:_SIGNATURE]


def check_answer(
    text: str, key: bytes, find: Callable[[int], AnswerCode | None], now: datetime
) -> tuple[MessageAnswer, AnswerCode] | Refusal:
    """Read an answer and what its code is good for, or say why it changes nothing. `find` looks a number up."""
    answer = read_message_answer(text, key)
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
    if answer.command is AnswerCommand.MUTE and answer.name not in {name for _, name in code.subjects}:
        return Refusal.FOREIGN
    return answer, code


def is_meant(text: str) -> bool:
    """Whether a text begins with a command: others, our own messages too, are no answers."""
    words = _first_line(text).split()
    return bool(words) and words[0].lower().rstrip(":,.") in set(AnswerCommand)


def read_message_answer(text: str, key: bytes) -> MessageAnswer | None:
    """
    Read an answer: its first line has the command, and the code stands there or below, quoted perhaps.

    Its code is the first that was made with this key, or else the first text that looks like one. None when there is a
    command that cannot be understood, or no code.
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
                return MessageAnswer(AnswerCommand.ACK, code)
            case "ack", [lasting]:
                return MessageAnswer(AnswerCommand.ACK, code, lasting=_read_span(lasting))
            case "mute", [name, lasting]:
                return MessageAnswer(AnswerCommand.MUTE, code, name, _read_span(lasting))
            case "status", []:
                return MessageAnswer(AnswerCommand.STATUS, code)
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
