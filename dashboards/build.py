"""Writes the dashboards beside this file, from what is said here once: the filter, the links, the looks.

    python3 dashboards/build.py           writes them
    python3 dashboards/build.py --check   fails where a file is not what this script writes
"""

import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).parent
SCHEMA_VERSION = 42  # Of Grafana 12 and 13; older ones read what they know.

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_PROBE = 'provider=~"$provider",environment=~"$environment",location=~"$location"'
OF_DAEMON = 'instance=~"$instance"'

GREEN, YELLOW, RED, GRAY, BLUE = "green", "yellow", "red", "text", "blue"
OUTCOMES = {"ok": GREEN, "degraded": YELLOW, "unknown": GRAY, "failed": RED}  # The worse, the later.
STATES = {0: ("no run yet", BLUE), 1: ("ok", GREEN), 2: ("degraded", YELLOW), 3: ("not judged", GRAY), 4: ("failed", RED)}


# What is asked.

def of(name, more="", window=""):
    """A selector of a figure of the chosen probes."""
    labels = ",".join(part for part in (OF_PROBE, more) if part)
    return f"{name}{{{labels}}}{window}"


def runs(outcome, by, window="[$window]"):
    return f'sum by ({by}) (increase({of("authcanary_runs_total", outcome, window)}))'


def failure_ratio(by, window="[$window]"):
    judged = runs('outcome!="unknown"', by, window)
    return f'{runs(FAILED, by, window)} / ({judged} > 0)'


FAILED = 'outcome="failed"'
PASSED = 'outcome=~"ok|degraded"'


def state(by="probe, location"):
    """A number for each of STATES."""
    parts = []
    for code, outcome in enumerate(OUTCOMES, start=1):
        selector = of("authcanary_last_outcome", f'outcome="{outcome}"')
        parts.append(f"{code} * max by ({by}) ({selector})")
    return " + ".join(parts)


def quantile(q, figure, by, more="", window="[$window]"):
    buckets = of(f"{figure}_bucket", more, window)
    return known(f"histogram_quantile({q}, sum by (le, {by}) (increase({buckets})))")


def known(quantile):
    """Without those of no run at all, which are no numbers and would be shown as such."""
    return f"{quantile} >= 0"


def mean(figure, by, more="", window="[$window]"):
    total = f'sum by ({by}) (increase({of(figure + "_sum", more, window)}))'
    return f'{total} / (sum by ({by}) (increase({of(figure + "_count", more, window)})) > 0)'


def grown(now, series, then):
    """How much each counter grew. `increase` sees no growth in a series that begins with a one; what is less than before
    has begun anew at zero."""
    return f"({now} - last_over_time({series}[1d]{then})) >= 0 or {now}"


def counted(series, by, least="> 0"):
    """How much counters grew within a point of the graph, without what rounds off at the edges of `increase`."""
    return f"sum by ({by}) ({grown(series, series, ' offset $__interval')}) {least}".strip()


def tally(series, by, end="", start=" offset $window"):
    """How much counters grew within a window, which may hold a restart: the larger of the two that each miss something,
    `increase` the first of a series, the difference what was before the restart."""
    difference = grown(f"last_over_time({series}[$window]{end})", series, start)
    increase = f"increase({series}[$window]{end})"
    return f"round(sum by ({by}) (({increase} > ({difference})) or ({difference}))) > 0"


# How it looks.

def target(expr, legend="", ref="A", instant=False, table=False, heatmap=False, exemplar=False):
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr,
        "refId": ref,
        "legendFormat": legend or "__auto",
        "instant": instant or table,
        "range": not (instant or table),
        "exemplar": exemplar,
        "format": "table" if table else "heatmap" if heatmap else "time_series",
    }


def targets(*asked, **more):
    """Several queries: (expression, legend) each."""
    return [target(expr, legend, chr(ord("A") + place), **more) for place, (expr, legend) in enumerate(asked)]


def thresholds(*steps):
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in steps]}


def override(name, **properties):
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def colors(named):
    return [override(name, color={"mode": "fixed", "fixedColor": color}) for name, color in named.items()]


def state_mapping():
    options = {str(code): {"text": text, "color": color, "index": code} for code, (text, color) in STATES.items()}
    return [{"type": "value", "options": options}]


def link(title, url):
    return {"title": title, "url": url, "targetBlank": True}


PROBE_LINK = link("Runs of this probe", "${canary:raw}/probes/${__field.labels.probe}")
ALERTS_LINK = link("Alerts", "${canary:raw}/alerts")
RUNBOOK_LINK = link("Runbook", "${canary:raw}/runbooks/${__field.labels.class}")


ATTRIBUTES = {"probe": "authcanary.probe", "class": "authcanary.verdict.class"}


def traces_link(label):
    """Traces in Tempo, by an attribute that the span of a run carries."""
    asked = '{resource.service.name="authcanary" && span.' + ATTRIBUTES[label] + '="${__field.labels.' + label + '}"}'
    query = {"refId": "A", "datasource": {"type": "tempo", "uid": "${traces}"}, "queryType": "traceql", "query": asked}
    time = {"from": "${__from}", "to": "${__to}"}
    panes = json.dumps({"a": {"datasource": "${traces}", "queries": [query], "range": time}}, separators=(",", ":"))
    # An address, so that `&` and the like do not cut it apart; Grafana fills in what is to be filled in.
    parts = re.split(r"(\$\{[^}]*\})", panes)
    return link("Traces", "/explore?schemaVersion=1&panes=" + "".join(part if part.startswith("${") else quote(part, safe="") for part in parts))


def row_links(*named):
    """Links of a table take the values of their row."""
    return [link(title, url) for title, url in named]


ROW_PROBE = ("Runs of this probe", "${canary:raw}/probes/${__data.fields.probe}")
ROW_RUNBOOK = ("Runbook", "${canary:raw}/runbooks/${__data.fields.class}")

CONTINUOUS = {"mode": "palette-classic"}


def panel(kind, title, asked, size, description="", unit=None, options=None, defaults=None, overrides=None, **more):
    asked = [target(asked)] if isinstance(asked, str) else asked
    fields = {"color": CONTINUOUS, "mappings": [], "thresholds": thresholds((None, GREEN))}
    fields |= {"unit": unit} if unit else {}
    fields |= defaults or {}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": asked,
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": fields, "overrides": overrides or []},
        "options": options or {},
        **more,
    }


def row(title, **more):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}, **more}


def stat(title, asked, size=(4, 4), description="", unit=None, steps=((None, GREEN),), mappings=(), text="auto", none="", links=(), **more):
    if isinstance(asked, str):
        asked = [target(asked, instant=True)]
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": text,
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds(*steps), "mappings": list(mappings)}
    defaults |= {"noValue": none} if none else {}
    defaults |= {"links": list(links)} if links else {}
    return panel("stat", title, asked, size, description, unit, options, defaults, **more)


def lines(title, asked, size=(12, 8), description="", unit=None, draw=(), overrides=(), links=(), limits=(), least=0, none="", **more):
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 2,
        "fillOpacity": 0,
        "gradientMode": "none",
        "showPoints": "auto",
        "spanNulls": True,
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if limits else "off"},
    } | dict(draw)
    defaults = {"custom": custom, "links": list(links)}
    defaults |= {"noValue": none} if none else {}
    if least is not None:
        defaults["min"] = least
    if limits:
        defaults["thresholds"] = thresholds((None, "transparent"), *limits)
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, asked, size, description, unit, options, defaults, list(overrides), **more)


BARS = {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}, "spanNulls": False}
AREA = {"fillOpacity": 60, "lineWidth": 1, "stacking": {"mode": "normal", "group": "A"}}


def table(title, asked, size, columns, description="", overrides=(), sort=None, none="", **more):
    """`columns` are field names and what they are called, in order; all others are hidden."""
    options = {"frameIndex": 0, "showHeader": True, "cellHeight": "sm", "sortBy": [sort] if sort else []}
    transformations = [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {
            "excludeByName": {},
            "indexByName": {name: place for place, name in enumerate(columns)},
            "renameByName": {name: called for name, called in columns.items() if name != called},
        }},
    ]
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False}}
    defaults |= {"noValue": none} if none else {}
    return panel("table", title, asked, size, description, None, options, defaults, list(overrides), transformations=transformations, **more)


def bars(title, asked, size, description="", unit="s", links=()):
    options = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "left",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = {
        "color": {"mode": "continuous-GrYlRd"},
        "min": 0,
        "links": list(links),
    }
    return panel("bargauge", title, asked, size, description, unit, options, defaults)


def heatmap(title, asked, size, description="", unit="s", **more):
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Turbo", "fill": "dark-orange", "exponent": 0.5, "steps": 64, "reverse": False},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    custom = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}, "scaleDistribution": {"type": "linear"}}
    return panel("heatmap", title, asked, size, description, None, options, {"custom": custom}, **more)


def timeline(title, asked, size, description="", links=()):
    options = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 85, "lineWidth": 0},
        "mappings": state_mapping(),
        "links": list(links),
    }
    return panel("state-timeline", title, asked, size, description, None, options, defaults)


# What can be chosen.

def choice(name, label, query, multi=True, regex="", refresh=2, hide=0):
    every = {"includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
    one = {"includeAll": False}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"qryType": 1 if query.startswith("label_values") else 3, "query": query, "refId": f"variable-{name}"},
        "refresh": refresh,
        "regex": regex,
        "sort": 1,
        "hide": hide,
        "multi": multi,
        "options": [],
        **(every if multi else one),
    }


def source(name, label, kind, hide=0):
    return {"type": "datasource", "name": name, "label": label, "query": kind, "regex": "", "refresh": 1, "hide": hide, "multi": False, "includeAll": False, "options": []}


def period(default):
    lengths = ["5m", "15m", "30m", "1h", "3h", "6h", "1d", "7d"]
    options = [{"text": length, "value": length, "selected": length == default} for length in lengths]
    return {
        "type": "custom",
        "name": "window",
        "label": "Over",
        "description": "Runs are minutes apart: each point looks back so far. At least four times as long as the time from run to run.",
        "query": ",".join(lengths),
        "current": {"text": default, "value": default},
        "options": options,
        "multi": False,
        "includeAll": False,
        "hide": 0,
    }


CANARY = choice("canary", "authcanary", "label_values(authcanary_build_info, url)", multi=False) | {
    "description": "Address of the daemon's pages, for links to runs and runbooks, as the daemon tells it; another may be typed.",
    "allowCustomValue": True,
}
METRICS = source("datasource", "Prometheus", "prometheus")
TRACES = source("traces", "Tempo", "tempo", hide=2)
ENVIRONMENT = choice("environment", "Environment", 'label_values(authcanary_runs_total{provider=~"$provider"}, environment)')
LOCATION = choice("location", "Location", 'label_values(authcanary_runs_total{provider=~"$provider"}, location)')


def providers(multi):
    return choice("provider", "Provider", "label_values(authcanary_runs_total, provider)", multi)


DEPLOYS = {
    "name": "Deploys",
    "datasource": DATASOURCE,
    "enable": True,
    "hide": False,
    "iconColor": "purple",
    "expr": f"max by (provider, environment) ({of('authcanary_last_deploy_timestamp_seconds')}) * 1000",
    "step": "60s",
    "titleFormat": "Deploy",
    "textFormat": "{{provider}} {{environment}}",
    "tagKeys": "provider,environment",
    "useValueForTime": True,
}
BUILT_IN = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}


def dashboard(name, title, description, variables, panels, since="now-6h", annotations=(DEPLOYS,)):
    x = y = tallest = 0
    for number, one in enumerate(panels, start=1):
        size = one["gridPos"]
        if x + size["w"] > 24:
            x, y, tallest = 0, y + tallest, 0
        one["id"] = number
        one["gridPos"] = {"h": size["h"], "w": size["w"], "x": x, "y": y}
        x, tallest = x + size["w"], max(tallest, size["h"])
    other = {
        "type": "dashboards",
        "title": "authcanary",
        "tags": ["authcanary"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
    return name, {
        "annotations": {"list": [BUILT_IN, *annotations]},
        "description": description,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [other],
        "panels": panels,
        "refresh": "1m",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["authcanary"],
        "templating": {"list": variables},
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": title,
        "uid": f"authcanary-{name}",
        "version": 1,
        "weekStart": "",
    }


# The dashboards.

SECONDS_LEFT = ((None, RED), (0, "orange"), (3 * 86400, YELLOW), (14 * 86400, GREEN))
# A probe that signs in gets a new refresh token by that, so what these tell is a lifetime: no end that needs somebody.
RENEWED = 'kind!="refresh_token"'


def expiry(more=""):
    return f'min by (probe, kind) ({of("authcanary_expiry_timestamp_seconds", more)})'


DURATION, STEP = "authcanary_run_duration_seconds", "authcanary_step_duration_seconds"


def expiry_table(size, more="", description="Certificates, secrets, keys and passwords by their end. A signing key stands here for a day when it was changed in a way that breaks sign-ins."):
    left = override("Left", unit="dtdurations", thresholds=thresholds(*SECONDS_LEFT), custom__cellOptions={"type": "color-text"}, color={"mode": "thresholds"})
    at = override("At", unit="dateTimeAsIso")
    return table(
        "What expires next",
        [
            target(f"sort({expiry(more)} - time())", ref="A", table=True),
            target(f"{expiry(more)} * 1000", ref="B", table=True),
        ],
        size,
        {"probe": "probe", "kind": "kind", "Value #A": "Left", "Value #B": "At"},
        description,
        [left, at, override("probe", links=row_links(ROW_PROBE))],
        sort={"displayName": "Left", "desc": False},
        none="nothing known",
    )


def failures_table(size, by="probe, stage, class, cause"):
    return table(
        "What failed",
        [target(f"sort_desc({tally(of('authcanary_failures_total'), by)})", table=True)],
        size,
        {"probe": "probe", "stage": "stage", "class": "class", "cause": "cause", "Value": "Runs"},
        "Verdicts, over as long as is chosen above. The class leads to its runbook.",
        [override("class", links=row_links(ROW_RUNBOOK)), override("probe", links=row_links(ROW_PROBE))],
        sort={"displayName": "Runs", "desc": True},
        none="nothing failed",
    )


def overview():
    now = of("authcanary_last_outcome")

    def count(outcomes):
        return f'sum({of("authcanary_last_outcome", outcomes)})'

    bad = ((None, GREEN), (1, RED))
    sign_ins = table(
        "Who can sign in where, now",
        [
            target(state(), ref="A", table=True),
            target(f'(time() - max by (probe, location) ({of("authcanary_last_success_timestamp_seconds")} > 0))', ref="B", table=True),
            target(failure_ratio("probe, location"), ref="C", table=True),
            target(quantile(0.5, DURATION, "probe, location", PASSED), ref="D", table=True),
        ],
        (24, 9),
        {"probe": "probe", "location": "location", "Value #A": "Now", "Value #B": "Last success", "Value #C": "Failed", "Value #D": "Median"},
        "The last run of each probe. Broken ones come first; the name leads to its runs.",
        [
            override("Now", mappings=state_mapping(), custom__cellOptions={"type": "color-background", "mode": "basic"}, custom__width=130),
            override("Last success", unit="dtdurations", custom__width=190, noValue="never"),
            override("Failed", unit="percentunit", decimals=1, thresholds=thresholds((None, GREEN), (0.01, YELLOW), (0.1, RED)), custom__cellOptions={"type": "color-text"}, color={"mode": "thresholds"}),
            override("Median", unit="s", decimals=2),
            override("probe", links=row_links(ROW_PROBE)),
        ],
        sort={"displayName": "Now", "desc": True},
    )
    measured = failure_ratio("probe, location")
    usual = failure_ratio("probe, location", "[7d]")
    both = targets(
        (f'max by (probe, location) ({of("authcanary_failure_ratio")}) or {measured}', "{{probe}} {{location}}"),
        (f'max by (probe, location) ({of("authcanary_baseline_failure_ratio")}) or {usual}', "baseline {{probe}} {{location}}"),
    )
    dashed = {
        "matcher": {"id": "byRegexp", "options": "/^baseline /"},
        "properties": [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 6]}},
            {"id": "custom.lineWidth", "value": 1},
            {"id": "custom.showPoints", "value": "never"},
        ],
    }
    slowest = f'topk(12, {quantile(0.95, STEP, "probe, stage")})'
    return dashboard(
        "overview",
        "authcanary: overview",
        "Who can sign in where, now; what fails, what is slow, what expires next.",
        [METRICS, TRACES, providers(True), ENVIRONMENT, LOCATION, period("30m"), CANARY],
        [
            stat("Can sign in", count(PASSED), description="Probes whose last run passed, with or without warnings."),
            stat("Cannot sign in", count(FAILED), steps=bad, description="Probes whose last run failed."),
            stat("Not judged", count('outcome="unknown"'), steps=((None, GREEN), (1, YELLOW)), description="Probes whose last run could not be judged: a fault of the monitor, not of the provider."),
            stat("No run yet", f"count(sum by (probe, location) ({now}) == 0) or vector(0)", steps=((None, GREEN), (1, BLUE))),
            stat("Alerts firing", "sum(authcanary_alerts_firing)", steps=bad, links=[ALERTS_LINK], description="Alerts of the daemon itself, of all probes; leads to them."),
            stat("Next to expire", f"min({expiry(RENEWED)}) - time()", unit="dtdurations", steps=SECONDS_LEFT, none="nothing known", description="Time that is left until the first certificate, secret, key or password ends."),
            sign_ins,
            timeline("How it went", [target(state(), "{{probe}} {{location}}")], (24, 9), "The last outcome of each probe over time.", [PROBE_LINK, traces_link("probe")]),
            lines(
                "Failure ratio against its baseline",
                both,
                (24, 9),
                "Share of the judged runs that failed, and, dashed, what is usual: as the daemon's alerts weigh it, or the last seven days where it has no baseline yet.",
                "percentunit",
                overrides=[dashed],
                links=[PROBE_LINK, traces_link("probe")],
            ),
            bars("Slowest stages", [target(slowest, "{{probe}} {{stage}}", instant=True)], (12, 10), "95th percentile of the time a stage took, the slowest twelve.", links=[PROBE_LINK]),
            failures_table((12, 10)),
            expiry_table((24, 9), RENEWED),
        ],
    )


def provider():
    by_class = counted(of("authcanary_failures_total"), "stage, class")
    by_outcome = counted(of("authcanary_runs_total"), "outcome")
    return dashboard(
        "provider",
        "authcanary: one provider",
        "Stages, percentiles and classes of one provider, its environments side by side.",
        [METRICS, TRACES, providers(False), ENVIRONMENT, LOCATION, period("30m"), CANARY],
        [
            stat(
                "$environment",
                [target(f'1 - ({failure_ratio("environment")})', "passed", instant=True)],
                (6, 4),
                "Share of the judged runs that passed.",
                "percentunit",
                ((None, RED), (0.9, YELLOW), (0.99, GREEN)),
                none="no runs",
                repeat="environment",
                repeatDirection="h",
                maxPerRow=4,
            ),
            timeline("How it went", [target(state(), "{{probe}} {{location}}")], (24, 7), "The last outcome of each probe over time.", [PROBE_LINK, traces_link("probe")]),
            row("Environments side by side"),
            lines("Passed", [target(f'1 - ({failure_ratio("environment, location")})', "{{environment}} {{location}}")], (8, 8), "Share of the judged runs that passed.", "percentunit", draw={"axisSoftMax": 1}),
            lines("Median sign-in", [target(quantile(0.5, DURATION, "environment, location", PASSED), "{{environment}} {{location}}")], (8, 8), "Of the runs that passed.", "s"),
            lines("95th percentile of a sign-in", [target(quantile(0.95, DURATION, "environment, location", PASSED), "{{environment}} {{location}}", exemplar=True)], (8, 8), "Of the runs that passed. The dots are runs: they lead to their traces and pages.", "s"),
            row("Time"),
            lines(
                "Percentiles",
                targets(*[(quantile(q, DURATION, "provider", PASSED), f"p{int(q * 100)}") for q in (0.5, 0.9, 0.95, 0.99)], exemplar=True),
                (12, 9),
                "Whole sign-ins that passed.",
                "s",
            ),
            heatmap("Sign-ins by duration", [target(f'round(sum by (le) (increase({of(DURATION + "_bucket", PASSED, "[$__rate_interval]")})))', "{{le}}", heatmap=True, exemplar=True)], (12, 9), "How many runs took how long.", interval="5m"),
            lines("Where the time goes", [target(mean(STEP, "stage"), "{{stage}}")], (12, 10), "Mean time of each stage, one on the other.", "s", draw=AREA),
            lines("95th percentile of each stage", [target(quantile(0.95, STEP, "stage, environment"), "{{stage}} {{environment}}", exemplar=True)], (12, 10), "", "s"),
            row("Failures"),
            lines("Outcomes", [target(by_outcome, "{{outcome}}")], (12, 8), "Runs by outcome.", "short", draw=BARS, overrides=colors(OUTCOMES), interval="5m"),
            lines("Classes", [target(by_class, "{{stage}} · {{class}}")], (12, 8), "What failed, over time. A bar leads to its runbook.", "short", draw=BARS, links=[RUNBOOK_LINK, traces_link("class")], interval="5m", none="nothing failed"),
            failures_table((12, 9)),
            expiry_table((12, 9), description="Certificates, secrets, keys and passwords by their end, and the refresh token of the last run, which shows how long those of users live. A signing key stands here for a day when it was changed in a way that breaks sign-ins."),
            lines("Clock of the provider", [target(of("authcanary_clock_offset_seconds"), "{{probe}} {{location}}")], (24, 7), "Ahead of ours, or behind when below zero.", "s", limits=((30, RED),), least=None),
        ],
    )


def release():
    before, after = "[$window] @ $deploy", "[$window] @ $deploy offset -$window"
    deployed = choice(
        "deploy",
        "Deploy at",
        f"query_result(max({of('authcanary_last_deploy_timestamp_seconds')} > 0) or vector(${{__from:date:seconds}}))",
        multi=False,
        regex="/ ([0-9.]+) /",
    )

    def pair(ask, legend=""):
        return targets((ask(before), f"before {legend}".strip()), (ask(after), f"after {legend}".strip()), instant=True)

    def ratio(window):
        return failure_ratio("environment", window)

    def by_probe(window):
        return failure_ratio("probe, location", window)

    def median(window):
        return quantile(0.5, DURATION, "probe, location", PASSED, window)

    kind = "probe, stage, class, cause"
    failures = of("authcanary_failures_total")
    failed_before = tally(failures, kind, " @ $deploy", " @ $deploy offset $window")
    failed_after = tally(failures, kind, " @ $deploy offset -$window", " @ $deploy")

    percent = {"unit": "percentunit", "decimals": 1}
    markers = f"max by (provider, environment) ({of('authcanary_last_deploy_timestamp_seconds')})"
    return dashboard(
        "release",
        "authcanary: release",
        "Before and after a deploy: the newest marker that was posted, or, without one, the beginning of the chosen time.",
        [METRICS, TRACES, providers(True), ENVIRONMENT, LOCATION, period("30m"), deployed, CANARY],
        [
            stat("Failed, before", [target(ratio(before), "{{environment}}", instant=True)], (6, 5), "Share of the judged runs that failed in the time before the deploy.", "percentunit", ((None, GREEN), (0.01, YELLOW), (0.1, RED)), none="no runs"),
            stat("Failed, after", [target(ratio(after), "{{environment}}", instant=True)], (6, 5), "The same for as long after it.", "percentunit", ((None, GREEN), (0.01, YELLOW), (0.1, RED)), none="no runs"),
            stat("Runs, before and after", pair(lambda window: f"""round({runs('outcome!="unknown"', "provider", window)})""", "{{provider}}"), (6, 5), "How much the figures beside stand on.", "short", ((None, BLUE),), none="no runs"),
            stat("Deploy", "$deploy * 1000", (6, 5), "What is compared around.", "dateTimeAsIso", ((None, "purple"),)),
            table(
                "Each probe, before and after",
                [
                    target(by_probe(before), ref="A", table=True),
                    target(by_probe(after), ref="B", table=True),
                    target(median(before), ref="C", table=True),
                    target(median(after), ref="D", table=True),
                ],
                (24, 9),
                {"probe": "probe", "location": "location", "Value #A": "Failed before", "Value #B": "Failed after", "Value #C": "Median before", "Value #D": "Median after"},
                "",
                [
                    override("Failed before", **percent),
                    override("Failed after", **percent, thresholds=thresholds((None, GREEN), (0.01, YELLOW), (0.1, RED)), custom__cellOptions={"type": "color-text"}, color={"mode": "thresholds"}),
                    override("Median before", unit="s", decimals=2),
                    override("Median after", unit="s", decimals=2),
                    override("probe", links=row_links(ROW_PROBE)),
                ],
                sort={"displayName": "Failed after", "desc": True},
            ),
            table(
                "New since the deploy",
                [target(f"({failed_after}) unless on ({kind}) ({failed_before})", table=True)],
                (12, 9),
                {"probe": "probe", "stage": "stage", "class": "class", "cause": "cause", "Value": "Runs"},
                "Verdicts that came in as long after the deploy as is chosen above, and not in as long before it.",
                [override("class", links=row_links(ROW_RUNBOOK)), override("probe", links=row_links(ROW_PROBE)), override("Runs", decimals=0)],
                none="nothing new",
            ),
            bars("Stages: after, as a multiple of before", [target(f"topk(12, ({mean(STEP, 'stage', window=after)}) / ({mean(STEP, 'stage', window=before)} > 0))", "{{stage}}", instant=True)], (12, 9), "Mean time of each stage after the deploy, divided by that before.", "none"),
            lines("Failure ratio", [target(failure_ratio("probe, location"), "{{probe}} {{location}}")], (12, 9), "Deploys are marked.", "percentunit", links=[PROBE_LINK, traces_link("probe")]),
            lines("95th percentile of a sign-in", [target(quantile(0.95, DURATION, "probe, location", PASSED), "{{probe}} {{location}}", exemplar=True)], (12, 9), "Deploys are marked.", "s", links=[PROBE_LINK]),
            lines("Classes", [target(counted(of("authcanary_failures_total"), "stage, class"), "{{stage}} · {{class}}")], (12, 9), "What failed, over time.", "short", draw=BARS, links=[RUNBOOK_LINK, traces_link("class")], interval="1m", none="nothing failed"),
            table(
                "Newest deploys",
                [
                    target(f"{markers} * 1000", ref="A", table=True),
                    target(f"time() - {markers}", ref="B", table=True),
                ],
                (12, 9),
                {"provider": "provider", "environment": "environment", "Value #A": "At", "Value #B": "Ago"},
                "The newest marker of each environment. The figures above are around the newest of them all: choose one environment to see them around its own.",
                [override("At", unit="dateTimeAsIso"), override("Ago", unit="dtdurations")],
                sort={"displayName": "Ago", "desc": False},
                none="no marker was posted",
            ),
        ],
        since="now-3h",
    )


def monitor():
    def own(name, more="", window=""):
        labels = ",".join(part for part in (OF_DAEMON, more) if part)
        return f"{name}{{{labels}}}{window}"

    def started(name, more="", window=""):
        return of(name, ",".join(part for part in (OF_DAEMON, more) if part), window)

    late = own("authcanary_start_lateness_seconds_bucket", "", "[$window]")
    by_class = counted(started("authcanary_failures_total", CAUSE), "stage, class")
    all_runs = f'sum(increase({started("authcanary_runs_total", "", "[$window]")}))'
    not_judged = 'outcome="unknown"'
    unknown_runs = f'sum(increase({started("authcanary_runs_total", not_judged, "[$window]")}))'
    yes, no = {"text": "yes", "color": GREEN, "index": 0}, {"text": "no", "color": RED, "index": 1}
    taken = [{"type": "value", "options": {"1": yes, "0": no}}]
    fine = [{"type": "value", "options": {"0": {"text": "sound", "color": GREEN, "index": 0}, "1": {"text": "moved aside", "color": RED, "index": 1}}}]
    instance = choice("instance", "Daemon", "label_values(authcanary_build_info, instance)")
    notices = counted(own("authcanary_notifications_total"), "channel, result", "")
    return dashboard(
        "monitor",
        "authcanary: the monitor itself",
        "Whether authcanary itself is well: what it could not judge, how late it starts, its browsers, its store, its notices. Provider, environment and location choose among the runs; all else is of the whole daemon.",
        [METRICS, instance, providers(True), ENVIRONMENT, LOCATION, period("30m"), CANARY],
        [
            stat("Version", [target(own("authcanary_build_info"), "{{version}} at {{location}}", instant=True)], (6, 4), steps=((None, BLUE),), text="name"),
            stat("Configuration taken", [target(f'min({own("authcanary_config_last_reload_successful")})', instant=True)], (4, 4), "Whether the last configuration was taken over. When not, the one before is in use.", mappings=taken),
            stat("Store", [target(f'max({own("authcanary_store_quarantined")})', instant=True)], (4, 4), "Whether the store could be read at the start; when not, a fresh one took its place.", mappings=fine),
            stat("Not judged", f"{unknown_runs} / ({all_runs} > 0)", (5, 4), "Share of the runs that could not be judged.", "percentunit", ((None, GREEN), (0.05, YELLOW), (0.2, RED))),
            stat("Oldest notice waiting", f'max({own("authcanary_notification_oldest_pending_seconds")})', (5, 4), "How long a notice has waited for a channel to take it.", "dtdurations", ((None, GREEN), (60, YELLOW), (300, RED))),
            row("Runs"),
            lines("Runs that could not be judged", [target(by_class, "{{stage}} · {{class}}")], (12, 8), "By class. A bar leads to its runbook.", "short", draw=BARS, links=[RUNBOOK_LINK], interval="5m", none="all could be judged"),
            lines("Runs", [target(f'sum by (instance) (rate({started("authcanary_runs_total", "", "[$window]")})) * 60', "{{instance}}")], (12, 8), "Runs a minute.", "short"),
            lines("Lateness of starts", targets(*[(known(f"histogram_quantile({q}, sum by (le) (increase({late})))"), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]), (12, 8), "Between the time a run was due and its start.", "s", limits=((5, RED),)),
            lines("Time since the last run", [target(f'topk(10, time() - ({started("authcanary_last_run_timestamp_seconds")} > 0))', "{{probe}} {{location}}")], (12, 8), "The ten probes that ran the longest ago.", "dtdurations", links=[PROBE_LINK]),
            row("Browser, store, telemetry"),
            lines("Browser sessions", [target(own("authcanary_browser_sessions"), "{{instance}}")], (8, 8), "In use. When all are, runs wait, and those that wait too long are `overloaded`.", "short", draw={"lineInterpolation": "stepAfter"}),
            lines("Size of the store", [target(own("authcanary_store_bytes"), "{{instance}}")], (8, 8), "On disk.", "bytes"),
            lines("Values without room", [target(f'increase({own("authcanary_series_overflow_total", "", "[$window]")})', "{{instance}}")], (8, 8), "Left out because the limit on series was reached; see `telemetry.max_series`.", "short"),
            lines("Changes that wait for room", [target(own("authcanary_store_waiting_changes"), "{{instance}}")], (12, 8), "Kept in memory because the disk is full; a restart loses them.", "short", limits=((1, RED),)),
            lines("Telemetry lost", [target(f'sum by (signal, reason) (increase({own("authcanary_otlp_lost_total", "", "[$window]")}))', "{{signal}} {{reason}}")], (12, 8), "Spans, log records and rounds of figures that the collector did not get.", "short"),
            row("Alerts and notices"),
            lines("Alerts firing", [target(f'sum by (severity, kind) ({own("authcanary_alerts_firing")})', "{{severity}} {{kind}}")], (8, 8), "", "short", draw=AREA | {"lineInterpolation": "stepAfter"}),
            lines("Notices", [target(notices, "{{channel}} {{result}}")], (8, 8), "What came of handing them to channels.", "short", draw=BARS | {"stacking": {"mode": "none", "group": "A"}}, interval="5m"),
            lines("Age of the oldest notice waiting", [target(own("authcanary_notification_oldest_pending_seconds"), "{{instance}}")], (8, 8), "", "dtdurations", limits=((300, RED),)),
        ],
        annotations=(),
    )


CAUSE = 'cause="monitor"'


def main(arguments):
    differs = []
    for name, content in (overview(), provider(), release(), monitor()):
        path = HERE / f"{name}.json"
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if "--check" in arguments:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                differs.append(path.name)
        else:
            path.write_text(text, encoding="utf-8")
    if differs:
        print(f"not what dashboards/build.py writes: {', '.join(differs)}", file=sys.stderr)
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
