"""The sections of a report, in their order: a function each, and a line in `PLAN`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..drawing.blocks import Code, Finding, Section, Text, section, table
from ..drawing.chart import Axis, Bars, Chart, numbers
from ..tasks.kinds import KINDS
from ..tasks.metric_names import best_is_one, score, score_table, title
from ..tasks.option_values import switch
from ..tasks.options import declared
from ..training.curves import learning_charts
from ..utils.numbers import duration, number
from ..utils.unfinished import POLICY
from . import policy
from .content import RunContent, mapping
from .flow import flow

#: So many metrics have a picture beside the table.
_DRAWN = 4


def sections_of(content: RunContent) -> list[Section]:
    """All sections that there is something to say in."""
    found: list[Section] = []
    for make in PLANS.get(str(content.about.get("kind")), PLAN):
        found += [each for each in make(content) if each is not None]
    return found


Found = Sequence[Section | None]


# ---- in words ------------------------------------------------------------------------------------


def title_of(content: RunContent) -> str:
    """What a run is called on its page."""
    data = _data_name(content)
    return f"{data}: {content.target}" if content.target else data or content.name


def _data_name(content: RunContent) -> str:
    return str(content.about.get("data") or "").rpartition("/")[2]


def state_of(content: RunContent) -> tuple[str, bool]:
    """What became of the training, and whether it is still open."""
    done = len(content.epochs)
    epochs = f"{done:,} epoch{'s' * (done != 1)}"
    if content.finished:
        when = str(content.about.get("created") or "")[:16].replace("T", " ")
        history = mapping(content.record.get("history"))
        how = "Interrupted, with the best weights so far" if history.get("interrupted") else (
            "Finished")  # fmt: skip
        on = f" To go on: {_go_on(content)}" if content.unfinished else ""
        return f"{how}{f' on {when} UTC' if when else ''}. Run folder: {content.name}.{on}", False
    most = content.about.get("epochs")
    of = f" of at most {most:,}" if isinstance(most, int) else ""
    fit = f", in part {len(content.fits)} of a cross-validation" if len(content.fits) > 1 else ""
    if content.running:
        return f"The training goes on: {epochs}{of} are done{fit}{_when(content)}.", True
    done_so_far = f"{epochs}{of} are done{fit}"
    return f"The training is not finished: {done_so_far}. To go on: {_go_on(content)}", True


def _go_on(content: RunContent) -> str:
    if content.unfinished is not None:
        return content.unfinished.command
    return f"chainrule train --resume {shlex.quote(str(content.folder))}"


def status_of(content: RunContent) -> str:
    """The same in a word or two."""
    if content.finished:
        interrupted = mapping(content.record.get("history")).get("interrupted")
        return "interrupted" if interrupted else "finished"
    return "running" if content.running else "not finished"


def _when(content: RunContent) -> str:
    return f"; written at {content.when}" if content.when else ""


def summary(content: RunContent) -> Found:
    """What was learned, how well, and what is to be seen to."""
    if _is_policy(content) and content.finished:
        told = [*policy.summary(content), *_warned(content)]
        return [section("summary", "Summary", Text(tuple(told)))]
    sentences = [_trained(content), *_scored(content)]
    if verdict := content.report.get("verdict"):
        sentences.append(str(verdict))
    sentences += [*_matters(content), *_warned(content), _went(content)]
    return [section("summary", "Summary", Text(tuple(s for s in sentences if s)))]


def _is_policy(content: RunContent) -> bool:
    return content.about.get("kind") == POLICY


def in_words(content: RunContent) -> tuple[list[str], list[str]]:
    """The summary of a run, a sentence each, and its findings, in Markdown."""
    blocks = [block for part in (*summary(content), *findings(content)) if part
              for block in part.blocks]  # fmt: skip
    said = [sentence for block in blocks if isinstance(block, Text) for sentence in block.sentences]
    found = [f"**{block.title}**: {' '.join([*block.sentences, block.fix])}"
             for block in blocks if isinstance(block, Finding)]  # fmt: skip
    return said, found


def _trained(content: RunContent) -> str:
    report, data = content.report, _data_name(content)
    if not content.finished:
        to = f" to predict {content.target}" if content.target else ""
        return f"A network is trained on {data or 'data'}{to}. What it reaches on the test set is "\
            "known when the training is over."  # fmt: skip
    rows = mapping(report.get("rows")).get("train")
    size = f"{rows:,} {content.unit} of {data}" if isinstance(rows, int) else data
    count = report.get("parameters")
    network = f"A network of {count:,} parameters" if isinstance(count, int) else "A network"
    return f"{network} has learned to predict {content.target} from {size}."


def _scored(content: RunContent) -> list[str]:
    metrics = mapping(content.report.get("metrics"))
    if not metrics:
        return []
    name, value = next(iter(metrics.items()))
    folds = mapping(content.report.get("cv")).get("folds")
    rows = mapping(content.report.get("rows")).get("test")
    where = f"In cross-validation, on average over {folds} parts" if folds else (
        f"On {rows:,} {content.unit} that it has not seen" if isinstance(rows, int) else
        "On the test set")  # fmt: skip
    baselines = mapping(content.report.get("baselines"))
    others = [f"{other} {score(name, mapping(values).get(name))}"
              for other, values in baselines.items()
              if mapping(values).get(name) is not None]  # fmt: skip
    beside = f" (for comparison: {', '.join(others)})" if others else ""
    return [f"{where}: {title(name)} {score(name, value)}{beside}."]


def _matters(content: RunContent) -> list[str]:
    """The columns that matter most, as the picture of their importance says."""
    charts = [chart for each in content.stored.sections for chart in each.charts
              if chart.name == "importance" and chart.marks]  # fmt: skip
    if not charts or not isinstance(bars := charts[0].marks[0], Bars):
        return []
    pairs = list(zip(charts[0].y.categories, bars.values, bars.errors, strict=False))
    clear = [name for name, value, error in pairs[:3] if (value or 0) > 2 * (error or 0)]
    return [f"What matters most: {', '.join(clear)}."] if clear else []


def _warned(content: RunContent) -> list[str]:
    found = [each for each in content.findings if _is_sure(each)]
    if not found:
        return []
    count = f"{len(found)} finding{'s' * (len(found) != 1)}"
    return [f"{count} about this training: see below."]


def _went(content: RunContent) -> str:
    report, epochs = content.report, len(content.epochs)
    if not content.finished:
        return ""
    parts = [f"{epochs:,} epoch{'s' * (epochs != 1)} in {duration(report.get('seconds'))}"]
    if report.get("best_epoch"):
        parts.append(f"the weights of epoch {report['best_epoch']:.0f} are kept")
    if report.get("stop_reason"):
        parts.append(f"stopped: {report['stop_reason']}")
    return f"{'; '.join(parts)}."


# ---- the doctor ----------------------------------------------------------------------------------


def findings(content: RunContent) -> Found:
    """What the doctor has found, the most likely cause first."""
    blocks = [_finding(each) for each in content.findings]
    return [section("findings", "Findings", *blocks)]


def _finding(record: Mapping[str, Any]) -> Finding:
    cause = str(record.get("cause") or record.get("rule") or "finding").replace("_", " ")
    if not _is_sure(record):
        cause = f"could also be: {cause}"
    place = [str(record["layer"])] if record.get("layer") else []
    place += [f"{name} {record[name]:,.0f}" for name in ("epoch", "step")
              if isinstance(record.get(name), int | float)]  # fmt: skip
    said = [str(record.get("message") or ""), str(record.get("why") or "")]
    if record.get("measured") is not None:
        formula = record.get("formula") or "measured"
        than = record.get("threshold")
        beside = f" (threshold {_value(than)})" if than is not None else ""
        said.append(f"{formula}: {_value(record['measured'])}{beside}.")
    said += [f"It brings about {each}" for each in record.get("consequences") or ()]
    fix = mapping(record.get("fix"))
    options = mapping(fix.get("options"))
    return Finding(
        cause.capitalize() + (f" ({', '.join(place)})" if place else ""),
        str(record.get("severity") or "note"),
        tuple(sentence for sentence in said if sentence),
        str(fix.get("sentence") or ""),
        " ".join(_typed(name.replace("_", "-"), value) for name, value in options.items()),
    )


def _is_sure(record: Mapping[str, Any]) -> bool:
    """Whether it is a finding by itself, as all of them were in runs of earlier versions."""
    return record.get("sure", True) is not False


def _value(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else str(value)


# ---- data, training, test ------------------------------------------------------------------------


def data(content: RunContent) -> Found:
    """The profile that was made before the training."""
    return content.stored.profile


def training(content: RunContent) -> Found:
    """Learning curves."""
    charts = learning_charts(content.epochs, content.best, content.fits[:-1])
    parts = len(content.fits)
    note = Text((f"Fit {parts}: the thin lines are those of the fits before.",), quiet=True)
    return [section("training", "The training", note if parts > 1 else None, *charts)]


def scores(content: RunContent) -> Found:
    """The metrics on the test set, beside the baselines."""
    report = content.report
    metrics = mapping(report.get("metrics"))
    if not metrics:
        return []
    baselines = {name: mapping(each) for name, each in mapping(report.get("baselines")).items()}
    grid = score_table(report, _measured_on(content))
    charts = [_bars(name, value, baselines) for name, value in list(metrics.items())[:_DRAWN]]
    notes = tuple(f"{note[:1].upper()}{note[1:]}." for note in map(str, report.get("notes") or ()))
    return [
        section("scores", "How good it is", grid, *(chart for chart in charts if chart),
                Text(notes) if notes else None)
    ]  # fmt: skip


def _measured_on(content: RunContent) -> str:
    folds = mapping(content.report.get("cv")).get("folds")
    rows = mapping(content.report.get("rows")).get("test")
    if folds:
        return f"The mean of {folds} parts, each held out once; ± is the standard deviation"
    count = f"{rows:,} {content.unit}" if isinstance(rows, int) else "a part"
    return f"On {count} that the network has not seen; the best value of each row is bold"


def _bars(name: str, value: Any, baselines: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    pairs = [("network", value), *((other, each.get(name)) for other, each in baselines.items())]
    known = [(other, each) for other, each in pairs if isinstance(each, int | float)]
    if len(known) < 2:
        return None
    better = "longer is better" if best_is_one(name) else "shorter is better"
    names, values = zip(*known, strict=True)
    return Chart(f"score_{name}", f"{title(name)}: {better}", Axis(), Axis(categories=names),
                 (Bars(title(name), numbers(values)),), size="small")  # fmt: skip


def examined(content: RunContent) -> Found:
    """What was made of network and test set when the training was over."""
    return content.stored.sections


# ---- configuration -------------------------------------------------------------------------------


def configuration(content: RunContent) -> Found:
    """Options that were given, and what was chosen."""
    given = [
        (name.replace("_", "-"), plain_value(value)) for name, value in content.options.items()
    ]
    report = content.report
    chosen: list[tuple[str, str]] = []
    for group in ("network", "optimizer", "forecast"):
        value = report.get(group)
        if isinstance(value, dict):
            chosen += [(f"{group}: {key.replace('_', ' ')}", plain_value(each))
                       for key, each in value.items()]  # fmt: skip
        elif value is not None:
            chosen.append((group, plain_value(value)))
    for name in ("parameters", "epochs", "updates", "waited"):
        if report.get(name) is not None:
            chosen.append((name, number(report[name])))
    return [
        section(
            "configuration", "Configuration",
            table(("option", "given"), given, caption="Options that were given"),
            table(("", "chosen"), chosen, caption="What was chosen", folded=len(chosen) > 14),
        )
    ]  # fmt: skip


def plain_value(value: Any) -> str:
    """An option or a setting in words."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={plain_value(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain_value, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else str(value)


def environment(content: RunContent) -> Found:
    """What it ran on."""
    versions = mapping(content.record.get("versions")) or mapping(
        content.about.get("versions"))  # fmt: skip
    rows = [(str(name), str(value)) for name, value in versions.items()]
    machine = mapping(content.about.get("machine"))
    rows += [(str(name), plain_value(value)) for name, value in machine.items()]
    return [section("environment", "Environment", table(("", ""), rows))]


def reproduction(content: RunContent) -> Found:
    """The commands that train it again, use it, and look into it."""
    source = mapping(content.about.get("source"))
    folder = shlex.quote(str(content.folder))
    kind = KINDS.get(str(content.about.get("kind")))
    if content.record and not source and mapping(content.options).get("from_model"):
        lines = [f"# an update of {content.options['from_model']}"]
    else:
        lines = [_command(content)]
    if content.finished:
        if source.get("digest"):
            lines.append(f"chainrule train --reproduce {folder}")
        if content.report.get("task") == "language":
            lines.append(f"chainrule generate {folder}")
        elif kind is not None:
            lines.append(f"chainrule predict {folder} {kind.new} --out predictions.csv")
    facts = []
    if source.get("digest"):
        facts.append(("SHA-256 of the data", str(source["digest"])))
    if content.record.get("model_sha256"):
        facts.append(("SHA-256 of the model file", str(content.record["model_sha256"])))
    seed = content.options.get("seed", 0)
    again = " --reproduce trains again and compares." if source.get("digest") else ""
    said = (
        f"The seed is {seed}: the same data and options give the same model, to the bit, on any "
        "number of threads." + again,
    )
    return [section("reproduce", "How to reproduce it", Code("\n".join(lines)), Text(said),
                    table(("", ""), facts))]  # fmt: skip


def _command(content: RunContent) -> str:
    """The command that trained it."""
    if isinstance(content.record.get("command"), str):
        return str(content.record["command"])
    kind = KINDS.get(str(content.about.get("kind")))
    known = declared(kind.options) if kind else {}
    parts = ["chainrule train", shlex.quote(str(content.about.get("data") or "DATA"))]
    for field, value in content.options.items():
        if value is not None:
            said = known.get(field)
            name = (said.name if said else "") or field.replace("_", "-")
            if value is False and said is not None and said.read is switch:
                name, value = f"no-{name}", True
            parts.append(_typed(name, value))
    return " ".join(part for part in parts if part)


def _typed(name: str, value: Any) -> str:
    """An option as it is typed."""
    if value is True:
        return f"--{name}"
    if value is False:
        return ""
    if isinstance(value, dict):
        pairs = (shlex.quote(f"{key}={each}") for key, each in value.items())
        return " ".join(f"--{name} {pair}" for pair in pairs)
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value)) or "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"--{name} {shlex.quote(text)}"


#: The page, from the top: each takes what is in the run folder, and gives its sections.
PLAN: tuple[Callable[[RunContent], Found], ...] = (
    summary,
    findings,
    scores,
    training,
    flow,
    examined,
    data,
    configuration,
    environment,
    reproduction,
)

#: The sections of the kinds whose pages differ.
PLANS = {
    POLICY: (
        summary, findings, policy.scores, policy.training, configuration, environment, reproduction,
    ),
}  # fmt: skip
