# The entry for people. Everything that needs more than a line is in `cargo xtask`.
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
XTASK := $(TARGET)/debug/xtask

.PHONY: help setup build test demo bench powercut systemd check

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

setup: ## install the Debian packages that building and testing need (as root)
	@packaging/setup build test

# One build of the whole workspace: every later step uses the same artefacts.
build: setup ## build everything for development
	$(CARGO) build --locked --workspace

test: build ## build and run every test; what needs root is skipped and counted when you are not
	$(XTASK) test

demo: build ## install, update, fail and roll back, for real, on a scratch device (as root)
	$(XTASK) demo

bench: setup ## measure time, memory and disk beside podman (as root)
	@packaging/setup bench
	$(CARGO) xtask bench

powercut: setup ## cut the power at every disk write of an install (as root)
	@packaging/setup bench
	$(CARGO) xtask powercut

systemd: setup ## try the product under a real systemd in a virtual machine (as root)
	@packaging/setup vm
	$(CARGO) xtask systemd

check: ## what CI runs
	.ci/run
