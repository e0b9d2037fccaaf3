"""The whole browser journey, ours against a Playwright script: wall and CPU time, as ratios, in one run.

    python3 benches/journey.py [--rounds 5] [--journeys 20] [--only playwright|authcanary]

Both sides walk the same journey on the same oidc-provider with the same Chromium and the same browser arguments, each
journey in a browser context of its own. A round runs, for each side in turn, a short and a long series in fresh
processes under `meter.py`; what a journey costs is the difference between the two series, so that start-up, the
browser's included, counts for neither side. Of the rounds' figures the median is taken. Below 1.0 is cheaper than
Playwright. The provider's own CPU time counts for nobody.

Needs `make setup` and a release build; AUTHCANARY names another binary.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHORT = 4
BROWSER_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
# As in the defaults of tests/live/oidc-provider/server.mjs.
IDENTITY = {
    "BENCH_CLIENT": "canary-basic",
    "BENCH_SECRET": 's3cret +/%&=:?"~',
    "BENCH_USERNAME": "canary@example.com",
    "BENCH_PASSWORD": 'c4nary & "Söhne" +%',
    "BENCH_REDIRECT": "https://app.example.com/callback",
}


def provider():
    """A running oidc-provider and its issuer; it ends when its standard input is closed."""
    server = subprocess.Popen(
        ["node", ROOT / "tests/live/oidc-provider/server.mjs"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    issuer = json.loads(server.stdout.readline())["issuer"]
    # Its events interest nobody here, but a full pipe would stop it.
    subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
    return server, issuer


def write_probe(folder, issuer):
    """A daemon file and a probe file for the journey. JSON is YAML too."""
    probe = {
        "version": 1, "provider": "generic", "flow": "authorization_code", "every": "1h", "timeout": "60s",
        "scopes": ["openid", "email", "offline_access"],
        "environments": {"bench": {
            "issuer": issuer,
            "client": {"id": IDENTITY["BENCH_CLIENT"], "auth": "client_secret_basic", "secret": {"env": "BENCH_SECRET"}},
            "redirect_uri": IDENTITY["BENCH_REDIRECT"],
            "account": {"username": IDENTITY["BENCH_USERNAME"], "password": {"env": "BENCH_PASSWORD"}},
            "authorize_params": {"prompt": "consent"},
        }},
        "login": "auto",
        "steps": [{"userinfo": {"expect": "body.email == account.username"}}, {"refresh": {}}],
        "budget": {"logins_per_minute": 600},
    }
    daemon = {
        "version": 1, "location": "bench", "listen": "127.0.0.1:0", "probes": [str(folder / "probe.yaml")],
        "store": {"path": str(folder / "store")},
        "browser": {"driver": "chromedriver", "max_sessions": 1, "args": BROWSER_ARGS},
    }
    (folder / "probe.yaml").write_text(json.dumps(probe, indent=2), encoding="utf-8")
    (folder / "authcanary.yaml").write_text(json.dumps(daemon, indent=2), encoding="utf-8")
    return folder / "authcanary.yaml"


def playwright(issuer, _config, journeys):
    return ["node", HERE / "playwright/journey.mjs", issuer, journeys, json.dumps(BROWSER_ARGS)]


def authcanary(_issuer, config, journeys):
    binary = os.environ.get("AUTHCANARY", ROOT / "target/release/authcanary")
    return [binary, "check", "-c", config, "--repeat", journeys, "--format", "json"]


def walls_ms(report):
    """How long each journey took by the side's own account, after making sure that each one passed."""
    if "wall_ms" in report:
        return report["wall_ms"]
    for run in report["runs"]:
        if run["outcome"] not in ("ok", "degraded"):
            sys.exit(f"a journey did not pass: {json.dumps(run['verdict'])}")
    return [run["duration_ms"] for run in report["runs"]]


def series(command, journeys):
    """Runs one series under the meter; what it cost and what it said."""
    command = [str(part) for part in ["python3", HERE / "meter.py", *command]]
    done = subprocess.run(command, env={**os.environ, **IDENTITY}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[2]} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    cost = json.loads(done.stderr.rstrip().splitlines()[-1])
    own = walls_ms(json.loads(done.stdout))
    if len(own) != journeys:
        sys.exit(f"{command[2]} walked {len(own)} journeys instead of {journeys}")
    return cost, own


def measure(side, issuer, config, journeys):
    """What one steady-state journey costs."""
    short, _ = series(side(issuer, config, SHORT), SHORT)
    long, own = series(side(issuer, config, SHORT + journeys), SHORT + journeys)
    return {
        "wall_ms": (long["wall_s"] - short["wall_s"]) * 1000 / journeys,
        "cpu_ms": (long["cpu_s"] - short["cpu_s"]) * 1000 / journeys,
        "own_median_ms": statistics.median(own),
        "left_behind": short["left_behind"] + long["left_behind"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--journeys", type=int, default=20)
    parser.add_argument("--only", choices=["playwright", "authcanary"])
    options = parser.parse_args()
    if os.getloadavg()[0] > 0.5:
        print(f"this machine is busy (load {os.getloadavg()[0]:.1f}): take wall figures with care", file=sys.stderr)
    sides = [side for side in (playwright, authcanary) if options.only in (None, side.__name__)]

    rows = {side.__name__: [] for side in sides}
    with tempfile.TemporaryDirectory(prefix="authcanary-bench-") as folder:
        server, issuer = provider()
        try:
            config = write_probe(Path(folder), issuer)
            for round_number in range(options.rounds):
                # Who goes first changes, so that a machine growing slower favours nobody.
                for side in sides if round_number % 2 == 0 else reversed(sides):
                    row = measure(side, issuer, config, options.journeys)
                    rows[side.__name__].append(row)
                    print(f"round {round_number + 1}  {side.__name__:<10}", *(f"{name} {value:.0f}" for name, value in row.items()), sep="  ")
        finally:
            server.stdin.close()
            server.wait()

    median = {name: {key: statistics.median(row[key] for row in of) for key in of[0]} for name, of in rows.items()}
    for name, of in median.items():
        print(f"median   {name:<10}", *(f"{key} {value:.0f}" for key, value in of.items()), sep="  ")
    if len(sides) == 2:
        for key in ("wall_ms", "cpu_ms"):
            print(f"ratio {key[:-3]} authcanary/playwright: {median['authcanary'][key] / median['playwright'][key]:.2f}")


if __name__ == "__main__":
    main()
