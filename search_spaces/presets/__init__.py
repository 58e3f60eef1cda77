"""PRESETS: the lab reports' experiments as they were run, configuration by configuration. Data.

A preset runs exactly what it lists, without a sampler and to the last epoch. What a report's text
does not say is named in ``assumed`` and takes the value that the report's library has by default.
"""

from search_spaces.presets import report_000, report_001, report_002, report_003, report_004
from tune_sentiment.preset import Preset

REPORTS = (report_000, report_001, report_002, report_003, report_004)
PRESETS: dict[str, Preset] = {
    name: preset for report in REPORTS for name, preset in report.PRESETS.items()
}
