# What there is to do here. Every target brings what it needs; a second run finds it there and is quick.
#
#   make demo    a daemon that signs in at its own provider, and who is told when that breaks; where a person looks on it
#                stays, with a page to watch it by, else it ends by itself
#   make test    everything: unit tests, tests/it, and tests/live with a real browser and a real provider
#   make lint    formatting, and clippy with warnings as errors
#   make bench   figures against other tools, as ratios measured in one run
#   make image   the container image, by buildah: authcanary, and authcanary:grid without a browser
#   make dist    what is given out, in target/dist: program, unit, probes, dashboards and documents, with checksums
#   make setup   only what the others need: a browser and its driver, the Node packages

.PHONY: demo test lint bench image dist setup buildah browser firefox curl prometheus alertmanager analyzer
.DELETE_ON_ERROR:

# npm writes this file last, so it stands for a complete folder and goes when the folder goes.
PROVIDER := tests/live/oidc-provider/node_modules/.package-lock.json
HAR := tests/live/har/node_modules/.package-lock.json
GRAFANA := tests/live/grafana/node_modules/.package-lock.json
VENV := .tools/venv/.complete
PLAYWRIGHT := benches/playwright/node_modules/.package-lock.json

# What the images of the tests are built on, since no registry is asked.
DEBIAN := .tools/debian.tar

# How `make dist` compiles; `dev` is quick, to try something out.
PROFILE := release

# The driver of Firefox is a crate; Debian has only the browser.
GECKODRIVER := .tools/bin/geckodriver

demo: browser
	cargo run --locked -- demo

test: setup
	cargo test --locked --lib --bins --test it
	GECKODRIVER=$(CURDIR)/$(GECKODRIVER) cargo test --locked --test live

# The live target is off by default, so it is named.
lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --test live -- -D warnings

bench: setup $(PLAYWRIGHT)
	cargo build --locked --release
	python3 benches/journey.py
	cargo bench --locked --bench daemon
	cargo bench --locked --bench scrape
	cargo bench --locked --bench collector
	cargo bench --locked --bench store

# By docker or podman it is `docker build --file Containerfile .`.
image: buildah
	buildah build --format docker --target grid --tag authcanary:grid --file Containerfile .
	buildah build --format docker --target browser --tag authcanary --file Containerfile .

# The date of what is in it is that of the last change, so that the same source gives the same archive.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
dist:
	cargo build --locked --profile $(PROFILE)
	.ci/dist target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/authcanary target/dist

setup: browser firefox curl prometheus alertmanager analyzer buildah $(DEBIAN) $(PROVIDER) $(HAR) $(GRAFANA) $(VENV) $(GECKODRIVER)

browser:
	@.ci/install chromium=chromium chromedriver=chromium-driver

firefox:
	@.ci/install firefox=firefox-esr

# What a run leaves for others to run is run.
curl:
	@.ci/install curl=curl

# The package may start a server of its own; the tests leave it alone and start theirs.
prometheus:
	@.ci/install prometheus=prometheus promtool=prometheus

# Judges the unit that is shipped; and what puts its filter of system calls on, for the Python of Debian.
analyzer:
	@.ci/install systemd-analyze=systemd
	@/usr/bin/python3 -c 'import seccomp' 2>/dev/null || .ci/install import-seccomp=python3-seccomp

# Takes alerts, with the tool that reads them back.
alertmanager:
	@.ci/install prometheus-alertmanager=prometheus-alertmanager

buildah:
	@.ci/install buildah=buildah

$(DEBIAN):
	@.ci/install mmdebstrap=mmdebstrap
	@mkdir -p $(@D)
	.ci/debian $@

# The mail server and the collector of the tests. On Debian a Python of the system may come without what makes such a folder.
$(VENV): tests/live/requirements.txt
	@python3 -c 'import ensurepip' 2>/dev/null || .ci/install ensurepip=python3-venv
	python3 -m venv .tools/venv
	.tools/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(GECKODRIVER):
	cargo install --debug --locked --root .tools --version 0.37.1 geckodriver

$(PROVIDER) $(HAR) $(GRAFANA) $(PLAYWRIGHT): %/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later with npm" >&2; exit 1; }
	npm ci --prefix $* --no-audit --no-fund
	@touch $@
