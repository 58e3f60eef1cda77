"""What the options name: methods, hyperparameters that are pinned, and labels."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tune_sentiment.config import owners
from tune_sentiment.errors import UsageError, unknown
from tune_sentiment.methods import COMPARED, METHODS, method_named

if TYPE_CHECKING:
    from tune_sentiment.space import SearchSpace

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def label(flag: str, text: str) -> str:
    """A name that people give, if it is one that every file system and tracker takes.

    Raises:
        UsageError: If it is not.
    """
    if not LABEL.fullmatch(text):
        raise UsageError(f"{flag} wants letters, digits, '.', '_' or '-', got {text!r}")
    return text


def chosen_methods(text: str) -> list[str]:
    """The methods of ``--method``, each once, in the order of METHODS.

    Raises:
        UsageError: If a name is unknown or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"no method given. Methods: {', '.join(METHODS)}")
    if "all" in names:
        names = [*COMPARED, *(name for name in names if name != "all")]
    for name in names:
        method_named(name)
    return [name for name in METHODS if name in names]


def fixed_values(
    pairs: Sequence[str], methods: Sequence[str], spaces: "Mapping[str, SearchSpace]"
) -> dict[str, dict[str, Any]]:
    """The pinned hyperparameters of each method: those of ``--fix`` that it knows.

    Args:
        pairs: Of a name and a value, as ``NAME=VALUE``.
        methods: That are searched.
        spaces: Of all methods; a value takes the type that it has there.

    Raises:
        UsageError: If a pair has no ``=``, is given twice, is of the wrong type, or is unknown to
            every method.
    """
    from tune_sentiment.space import parse_value

    owned = {name: _owned(name) for name in methods}
    known = sorted({key for names in owned.values() for key in names})
    fixed: dict[str, dict[str, Any]] = {name: {} for name in methods}
    seen: set[str] = set()
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not text:
            raise UsageError(f"--fix wants NAME=VALUE, got '{pair}'")
        if key in seen:
            raise UsageError(f"--fix {key} is given twice")
        elsewhere = [name for name in METHODS if name not in methods and key in _owned(name)]
        if key not in known and elsewhere:
            raise UsageError(
                f"{', '.join(methods)}: no hyperparameter '{key}'; {elsewhere[0]} has it"
            )
        if key not in known:
            raise unknown("hyperparameter", key, known, plural="Hyperparameters")
        seen.add(key)
        for name in methods:
            if key in owned[name]:
                fixed[name][key] = parse_value(key, text, spaces[name], owned[name])
    return fixed


def _owned(method: str) -> dict[str, type]:
    return owners(METHODS[method].hyperparameters, is_neural=METHODS[method].is_neural)
