"""Sections of the model card: scores, search, limitations, and how to rerun."""

from __future__ import annotations

from core.contract.spec.metric_table import BOARDS
from core.contract.state import best_and_counts
from core.contract.views import report_card as view
from core.store.report import markdown_escape as md
from core.store.report.report_data import Report
from core.store.report.score_lines import NOT_SCORED, Line, list_lines
from core.store.report.trial_table_export import list_searched_knobs

ALONE = (
    "It trained alone on its device: on a CPU in fp32, with the same versions and threads, a rerun gives "
    "the same bits."
)
TOGETHER = (
    "It trained in a pack: a rerun, which trains alone, is equal within rounding (about 1e-5 of the loss "
    "over 50 steps, more over long runs), not bit for bit."
)


def write_boards(report: Report) -> list[str]:
    """Return every metric compared with the base's, board by board."""
    score_rows = list_lines(report.study, report.chosen)
    if not score_rows:
        return [
            "## Quality, safety and security",
            "",
            "No board was enabled, so there are no scores.",
            "",
        ]
    parts = [
        "Value, 95 % interval, samples; a change is clear if it is larger than chance explains.",
        "",
    ]
    for board in dict.fromkeys(line.board for line in score_rows):
        cells = [
            (md.escape_code(line.metric), line.base, line.trial, line.change, line.limit, line.verdict,
             md.escape("; ".join(part for part in (line.meaning, line.note) if part)))
            for line in score_rows if line.board == board
        ]  # fmt: skip
        names = ("metric", "base", "this model", "change", "limit", "", "meaning")
        parts += [f"### {board.capitalize()}", "", *md.write_table(names, cells)]
    return ["## Quality, safety and security", "", *parts]


def write_report_card(report: Report) -> list[str]:
    """Return what the scores show about safety and security, and what not."""
    if report.chosen is None:
        return []
    claims = view.list_claims(report.study, report.chosen)
    cells = [
        (md.escape_code(claim.metric), md.escape(claim.text), f"**{claim.verdict}**", md.escape(claim.basis),
         md.escape(claim.how))
        for claim in claims
    ]  # fmt: skip
    missing = view.list_unexamined(report.study, report.chosen)
    return [
        "## Report card", "",
        "A claim is *not shown* unless an interval says otherwise; nothing here says that the model is safe.",
        "", *md.write_table(("metric", "claim", "verdict", "score", "measured how"), cells),
        "Not examined:", "", *(f"- {md.escape(text)}" for text in missing), "",
    ]  # fmt: skip


def write_search(report: Report) -> list[str]:
    """Return how the search found the trial."""
    search, study = report.spec.study, report.study
    goals = ", ".join(f"{md.escape_code(metric)} ({direction})" for metric, direction in study.objectives)
    counts = (
        ", ".join(f"{count} {name}" for name, count in best_and_counts.count_states(study).items()) or "none"
    )
    rows = [
        ("objective", goals),
        ("sampler", md.escape(search.sampler)),
        ("pruner", md.escape(search.pruner)),
        ("trials", f"{counts} of {study.total_trials} planned"),
        ("seed of the search", md.escape(search.seed)),
        ("searched", ", ".join(map(md.escape_code, list_searched_knobs(study))) or "nothing"),
    ]
    return [
        "## Search",
        "",
        *md.write_table(("", ""), rows),
        "All trials: `trials.csv`; all decisions with reasons: `decisions.md`.",
        "",
    ]


def write_limits(report: Report) -> list[str]:
    """Return the limitations of the results."""
    score_rows = list_lines(report.study, report.chosen)
    sentences = ["One training run with one seed: the effect of another seed is unknown."]
    complete = best_and_counts.count_states(report.study).get("complete", 0)
    if complete > 1:
        sentences.append(
            f"The trial was chosen from {complete} complete ones by its validation result, so that result is "
            "slightly better than what other data would give."
        )
    sentences += [
        f"{md.escape_code(line.metric)} breaks its limit ({line.limit})."
        for line in score_rows
        if line.verdict == "broken"
    ]
    sentences += [f"At the export the {md.escape(pending)}." for pending in report.pending]
    sentences += [
        f"{', '.join(names)} without a value: {md.escape(why)}."
        for why, names in _group_unscored(score_rows).items()
    ]
    scored_boards = {line.board for line in score_rows if line.trial != NOT_SCORED}
    missing = [board for board in BOARDS if board not in scored_boards]
    sentences += [f"Not examined: {', '.join(missing)}."] if missing else []
    sentences.append("Languages, biases and licence of the base model apply to this model too.")
    return ["## Limits", "", *(f"- {sentence}" for sentence in sentences), ""]


def _group_unscored(score_rows: list[Line]) -> dict[str, list[str]]:
    """Return the metrics without a value, grouped by the reason."""
    names_by_reason: dict[str, list[str]] = {}
    for line in score_rows:
        if line.trial == NOT_SCORED and line.note:
            names_by_reason.setdefault(line.note, []).append(md.escape_code(line.metric))
    return names_by_reason


def write_rerun(report: Report) -> list[str]:
    """Return how to rerun the trial, and the versions it ran with."""
    packages = report.versions.get("packages", {})
    listed = ", ".join(f"{name} {number}" for name, number in packages.items())
    machine = ", ".join(report.versions.get("gpus") or [str(report.versions.get("cpu", ""))])
    run_facts = report.ran.get(report.chosen.number) if report.chosen is not None else None
    return [
        "## Run it again", "",
        "`trimtab rerun FOLDER` trains this trial again and compares the results.", "",
        *([ALONE if run_facts.alone else TOGETHER] if run_facts is not None else []),
        "",
        f"{md.escape(machine)}; {md.escape(listed, 2000)}; Python {report.versions.get('python', '')}.", "",
    ]  # fmt: skip
