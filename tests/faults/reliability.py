"""docs/reliability.md, from the records of the tests of faults and of plain Ray Tune's attempts."""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tests.faults.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(__file__).resolve().parent / "records"
PAGE = ROOT / "docs" / "reliability.md"
HEADERS = ("fault", "plain Ray Tune", "tune_sentiment", "failures of tries", "test")
KNOWN = {
    "fault",
    "test",
    "passed",
    "seconds",
    "ray",
    "at",
    "cores",
}  # the rest is what a test measured
INTRODUCTION = """# What happens when something goes wrong

Each row is a fault that is really brought about: processes are killed, memory runs out, the disk
is full (`driver-cut` and `disk-fails` alone put the failing write there by hand, one after the
other). The middle columns say what became of the search.

- **tune_sentiment**: what is promised, and what the tests of it found. Where the moment is random,
  zero failures in n tries say, with 95 % confidence, that the fault is survived in all but 3/n of
  cases, no more.
- **plain Ray Tune**: what became of `tests/faults/plain.py` with the same harm at the same moment:
  `OptunaSearch` beside `ASHAScheduler`, a checkpoint at each evaluation, `max_failures=1` (a trial
  is tried twice, as ours is), and `Tuner.restore(..., resume_errored=True)` where the same command
  finds its folder again. As many trials as ours, with as many evaluations, one a second, in the
  same environment; Ray Tune writes its state every ten seconds or more, so a search of this length
  has few. "Ran again" counts trials that were complete and began once more.

After a driver was killed every process is gone within 30 seconds, but for two agents of Ray: they
hold no trial and no GPU, and give up telling the head after a minute.

`make test-faults` runs the tests on this machine, `make reliability` makes this page: the tests
with 20 kills of the driver and 500 trials in the soak, then plain Ray Tune; it takes two hours.
`.venv/bin/pytest` and a name of the last column run one test alone.
"""


def note(records: Path, made: Mapping[str, Any]) -> str:
    """Add a try, with its day, Ray's version and the number of cores; returns the line."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    line = json.dumps({**made, "ray": version("ray"), "at": day, "cores": os.cpu_count()})
    records.parent.mkdir(exist_ok=True)
    with records.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return line


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of a record by their fault."""
    found = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        made = json.loads(line)
        found[made["fault"]].append(made)
    return dict(found)


def page(records: Path = RECORDS) -> str:
    """The whole page."""
    ours, plain = read(records / "ours.jsonl"), read(records / "plain.jsonl")
    rows = [
        (
            fault.what,
            fault.untried or by_setting(plain.get(name, [])),
            "; ".join([fault.promise, *measured(ours.get(name, []))]),
            tries_words(ours.get(name, []), is_random=fault.is_random),
            "<br>".join(tests(ours.get(name, []))),
        )
        for name, fault in CATALOGUE.items()
    ]
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    made = [made for lines in (*ours.values(), *plain.values()) for made in lines]
    versions, cores = (sorted({str(line[name]) for line in made}) for name in ("ray", "cores"))
    days = sorted({line["at"] for line in made})
    where = f"Ray {', '.join(versions)}; {' to '.join(sorted({days[0], days[-1]}))}; "
    where += f"{', '.join(cores)} CPU cores."
    return f"{INTRODUCTION}\n{table}\n\n{where}\n"


def by_setting(tries: Sequence[Mapping[str, Any]]) -> str:
    """What became of plain Ray Tune's searches, of those with other settings apart."""
    settings = dict.fromkeys(made["setting"] for made in tries)
    parts = []
    for setting in settings:
        words = plain_words([made for made in tries if made["setting"] == setting])
        parts.append(f"with `{setting}`: {words}" if setting else words)
    return "<br>".join(parts) or "not tried"


def plain_words(tries: Sequence[Mapping[str, Any]]) -> str:
    """What became of plain Ray Tune's search, over all tries."""
    total = {name: sum(made[name] for made in tries) for name in ("before", "lost", "again")}
    total |= {name: sum(made[name] for made in tries) for name in ("complete", "failed", "nan")}
    asked = sum(made["asked"] for made in tries)
    parts = [_codes(tries), f"{total['complete']} of {asked} trials complete at the end"]
    if total["failed"]:
        parts.append(f"{total['failed']} with an error")
    if total["nan"]:
        parts.append(f"{total['nan']} of the complete ones with NaN, without a word")
    if total["before"]:
        parts.append(f"of {total['before']} that were complete before {total['lost']} were lost")
        parts[-1] += f" and {total['again']} ran again"
    if from_start := sum(made["from_start"] for made in tries):
        parts.append(f"{from_start} with a checkpoint began at step 0 again")
    if left := sum(made["left"] > 0 for made in tries):
        parts.append(f"processes left after 30 s in {left} of {len(tries)} tries")
    errors = sorted({error for made in tries for error in made["said"]})
    parts += [f"`{error}`" for error in errors]
    return f"{'; '.join(parts)} ({len(tries)} {'try' if len(tries) == 1 else 'tries'})"


def _codes(tries: Sequence[Mapping[str, Any]]) -> str:
    """How the commands ended: the harmed one, then the one that went on."""
    kinds = []
    for made in tries:
        codes = ["no end in 120 s" if code is None else str(code) for code in made["codes"]]
        kind = f"exit code {', then '.join(codes)}" if made["codes"][0] is not None else codes[0]
        if kind not in kinds:
            kinds.append(kind)
    return " or ".join(kinds)


def tries_words(tries: Sequence[Mapping[str, Any]], *, is_random: bool = True) -> str:
    """Failures of tries, and what they bound where the moment was random."""
    failures = sum(not made["passed"] for made in tries)
    counted = f"{failures} of {len(tries)}"
    if failures or not tries or not is_random:
        return counted
    if len(tries) <= 3:
        return f"{counted}: too few for a bound"
    return f"{counted}: below {3 / len(tries):.0%}"


def measured(tries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tests measured beside passing, of the last try."""
    last = tries[-1] if tries else {}
    return [f"{name} {_plain(value)}" for name, value in last.items() if name not in KNOWN]


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def tests(tries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Files and names of tests, without their parameters."""
    names = {made["test"].split("[")[0] for made in tries}
    return [f"`{name}`" for name in sorted(names)]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
