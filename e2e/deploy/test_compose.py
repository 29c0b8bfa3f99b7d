"""The Compose files: Docker Compose understands them, every container is locked up, and each setting exists."""

import re

import pytest
from conftest import DEPLOY, compose, drain_s, known_settings, runs, seconds, tool

FILES = ["compose.yaml", "compose.single.yaml"]
# What YAML's linter would otherwise demand: lines of 80, a `---`, and spaces inside of braces.
STYLE = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, comments-indentation: disable}}"


@pytest.fixture(params=FILES)
def services(request, tmp_path):
    return compose(request.param, tmp_path)["services"]


def ours(services):
    return {name: service for name, service in services.items() if service["image"].startswith("posthaste:")}


@pytest.mark.parametrize("file", [*FILES, "helm/posthaste/Chart.yaml", "helm/posthaste/values.yaml"])
def test_the_file_is_tidy(file):
    runs(tool("yamllint"), "--strict", "-d", STYLE, DEPLOY / file)


def test_no_container_may_write_to_its_root_or_become_more_than_it_is(services):
    for name, service in services.items():
        assert service.get("read_only"), name
        assert service["cap_drop"] == ["ALL"] and not service.get("cap_add"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_a_container_has_the_time_that_a_drain_takes(services):
    known = known_settings()
    for name, service in ours(services).items():
        if service.get("command"):
            continue
        settings = known | service["environment"]
        drain = drain_s() + seconds(settings["POSTHASTE_LEAVE_NOTICE"]) + seconds(settings["POSTHASTE_REQUEST_TIMEOUT"])
        assert seconds(service["stop_grace_period"]) > drain, name


def test_every_setting_is_one_of_the_product_s(services):
    known = known_settings()
    for name, service in ours(services).items():
        for setting in service.get("environment") or {}:
            assert setting.removesuffix("_FILE") in known, f"{name}: {setting}"


def test_no_secret_is_in_the_environment(services):
    for name, service in services.items():
        for setting in service.get("environment") or {}:
            is_secret = re.search("SECRET|PASSWORD|DATABASE_URL", setting)
            assert not is_secret or setting.endswith("_FILE"), f"{name}: {setting}"


def test_images_are_named_by_version(services, version):
    for name, service in services.items():
        assert re.search(r":\d", service["image"]), name
    assert {service["image"] for service in ours(services).values()} == {f"posthaste:{version}"}


def test_only_the_balancer_can_be_reached_and_the_database_calls_nobody(tmp_path):
    whole = compose("compose.yaml", tmp_path)
    assert {name for name, service in whole["services"].items() if service.get("ports")} == {"balancer"}
    assert whole["networks"]["store"]["internal"] and list(whole["services"]["postgres"]["networks"]) == ["store"]
    (subnet,) = whole["networks"]["nodes"]["ipam"]["config"]
    assert whole["services"]["node-1"]["environment"]["POSTHASTE_TRUSTED_PROXIES"] == subnet["subnet"]
